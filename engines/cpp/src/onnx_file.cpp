#include "onnx_file.hpp"

#include "error.hpp"

namespace lifeiqa {
namespace {

constexpr int max_depth = 30;  // nine nested graphs; each may double the work of a runtime

enum class Message { model, training, function, graph, node, attribute, sparse, tensor, other };

// The message type of a field. Covers every path from a model to its tensors in onnx.proto.
Message type_of_field(Message message, std::uint64_t field) {
  switch (message) {
    case Message::model:
      if (field == 7) return Message::graph;
      if (field == 20) return Message::training;
      if (field == 25) return Message::function;
      break;
    case Message::training:
      if (field == 1 || field == 2) return Message::graph;
      break;
    case Message::function:
      if (field == 7) return Message::node;
      if (field == 11) return Message::attribute;
      break;
    case Message::graph:
      if (field == 1) return Message::node;
      if (field == 5) return Message::tensor;
      if (field == 15) return Message::sparse;
      break;
    case Message::node:
      if (field == 5) return Message::attribute;
      break;
    case Message::attribute:
      if (field == 5 || field == 10) return Message::tensor;
      if (field == 6 || field == 11) return Message::graph;
      if (field == 22 || field == 23) return Message::sparse;
      break;
    case Message::sparse:
      if (field == 1 || field == 2) return Message::tensor;
      break;
    case Message::tensor:
    case Message::other:
      break;
  }
  return Message::other;
}

class Walk {
 public:
  Walk(const std::string& path, const std::uint8_t* data) : path_(path), data_(data) {}

  void visit(Message message, std::size_t at, std::size_t stop, int depth) const {
    if (depth > max_depth) refuse(at, "its messages are nested too deeply");
    while (at < stop) {
      const std::uint64_t tag = varint(at, stop), field = tag >> 3;
      if (field == 0) refuse(at, "field 0 is invalid");
      switch (tag & 7) {
        case 0: {
          const std::uint64_t value = varint(at, stop);
          if (message == Message::tensor && field == 14 && value != 0) refuse_external();
          break;
        }
        case 1:
          at = skip(at, 8, stop);
          break;
        case 2: {
          const std::uint64_t length = varint(at, stop);
          const std::size_t end = skip(at, length, stop);
          if (message == Message::tensor && field == 13) refuse_external();
          const Message next = type_of_field(message, field);
          if (next != Message::other) visit(next, at, end, depth + 1);
          at = end;
          break;
        }
        case 5:
          at = skip(at, 4, stop);
          break;
        default:  // groups, which ONNX does not use
          refuse(at, "unknown wire type");
      }
    }
  }

 private:
  std::uint64_t varint(std::size_t& at, std::size_t stop) const {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at >= stop) refuse(at, "a number ends after its message");
      const std::uint64_t byte = data_[at++];
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    refuse(at, "a number is longer than 64 bits");
  }

  std::size_t skip(std::size_t at, std::uint64_t length, std::size_t stop) const {
    if (length > stop - at) refuse(at, "a field ends after its message");
    return at + static_cast<std::size_t>(length);
  }

  [[noreturn]] void refuse(std::size_t at, const char* why) const {
    fail(Code::artifact, path_, ": not a valid ONNX model: byte ", at, ": ", why);
  }

  [[noreturn]] void refuse_external() const {
    fail(Code::artifact, path_,
         ": uses external data, which no checksum covers. Export it again with lifeiqa-export, "
         "which writes one file");
  }

  const std::string& path_;
  const std::uint8_t* data_;
};

}  // namespace

void require_one_file(const std::string& path, const std::vector<std::uint8_t>& file) {
  Walk(path, file.data()).visit(Message::model, 0, file.size(), 1);
}

}  // namespace lifeiqa
