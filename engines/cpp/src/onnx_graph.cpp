#include "onnx_graph.hpp"

#include <algorithm>

#include "error.hpp"

namespace lifeiqa {
namespace {

constexpr std::int64_t dynamic = -1;  // a dimension of any size

// An input or output of a graph.
struct Value {
  std::string name;
  std::string type;
  std::vector<std::int64_t> shape;

  bool operator==(const Value& other) const {
    return name == other.name && type == other.type && shape == other.shape;
  }

  std::string description() const {
    std::string sides;
    for (const std::int64_t side : shape) {
      if (!sides.empty()) sides += ", ";
      sides += side == dynamic ? "N" : std::to_string(side);
    }
    return name + " " + type + " (" + sides + ")";
  }
};

std::string type_name(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
      return "float32";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
      return "float64";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
      return "float16";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16:
      return "bfloat16";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
      return "uint8";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
      return "int8";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
      return "int32";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
      return "int64";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
      return "bool";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING:
      return "string";
    default:
      return "type " + std::to_string(type);
  }
}

Value value_of(const std::string& name, const Ort::TypeInfo& info) {
  if (info.GetONNXType() != ONNX_TYPE_TENSOR) return {name, "not a tensor", {}};
  const auto tensor = info.GetTensorTypeAndShapeInfo();
  return {name, type_name(tensor.GetElementType()), tensor.GetShape()};
}

std::string list_of(const std::vector<Value>& values) {
  std::string text;
  for (const Value& value : values) text += (text.empty() ? "" : ", ") + value.description();
  return text.empty() ? "nothing" : text;
}

}  // namespace

void require_graph(const std::string& path, const Ort::Session& session, const Manifest& manifest) {
  const Ort::AllocatorWithDefaultOptions allocator;
  std::vector<Value> inputs, outputs;
  for (std::size_t at = 0; at < session.GetInputCount(); ++at) {
    const auto name = session.GetInputNameAllocated(at, allocator);
    inputs.push_back(value_of(name.get(), session.GetInputTypeInfo(at)));
  }
  for (std::size_t at = 0; at < session.GetOutputCount(); ++at) {
    const auto name = session.GetOutputNameAllocated(at, allocator);
    outputs.push_back(value_of(name.get(), session.GetOutputTypeInfo(at)));
  }
  const std::int64_t side = manifest.model.preprocessing.size;
  const std::int64_t batch = manifest.batch ? *manifest.batch : dynamic;
  const Value crops{input_name, "uint8", {batch, side, side, 3}};
  const Value score{output_name, "float32", {batch}};
  // The graph computes the number of scores, which may not be known before a run.
  const Value any_count{output_name, "float32", {dynamic}};
  const bool fits =
      inputs == std::vector<Value>{crops} &&
      (outputs == std::vector<Value>{score} || outputs == std::vector<Value>{any_count});
  if (!fits) {
    fail(Code::artifact, path, ": its graph takes ", list_of(inputs), " and returns ",
         list_of(outputs), "; its manifest states that it takes ", crops.description(),
         " and returns ", score.description(), ". Export it with lifeiqa-export");
  }
}

void require_scores(const std::string& path, const Ort::Value& scores, std::size_t count) {
  const auto info = scores.GetTensorTypeAndShapeInfo();
  const std::vector<std::int64_t> shape = info.GetShape();
  if (info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT &&
      shape == std::vector<std::int64_t>{static_cast<std::int64_t>(count)}) {
    return;
  }
  std::string sides;  // as Python writes a tuple
  for (const std::int64_t side : shape) sides += (sides.empty() ? "" : ", ") + std::to_string(side);
  if (shape.size() == 1) sides += ",";
  fail(Code::artifact, path, ": it returned ", type_name(info.GetElementType()), " (", sides,
       ") for ", count, " crops, but float32 (", count,
       ",) is expected. Export it with lifeiqa-export");
}

}  // namespace lifeiqa
