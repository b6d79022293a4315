#include "model_file.hpp"

#include <filesystem>

#include "crop_plan.hpp"
#include "error.hpp"
#include "file.hpp"

namespace lifeiqa {
namespace {

void require_valid(const Options& options) {
  if (!options.crops.empty()) CropPlan::parse(options.crops);
  if (!options.runtime.empty()) {
    require_choice("runtime", options.runtime, {"onnxruntime", "tensorrt", "tensorrt-rtx"});
  }
  if (!options.device.empty()) require_choice("device", options.device, {"cpu", "cuda"});
  if (options.threads < 0) {
    fail(Code::config, "threads is ", options.threads, ": at least 1 is expected");
  }
}

// Refuses a runtime that does not take files with this suffix.
void require_fit(const std::string& path, bool is_onnx, const std::string& runtime) {
  if (runtime.empty() || is_onnx == (runtime == "onnxruntime")) return;
  fail(Code::config, "runtime is ", quoted(runtime), ", but ", name_of(path), " runs in ",
       is_onnx ? "onnxruntime" : "tensorrt, tensorrt-rtx", ": choose that, or another file");
}

// Refuses an engine that was built for another runtime, and a device other than a GPU.
void require_fit(const std::string& path, const EngineInfo& engine, const Options& options) {
  if (!options.runtime.empty() && options.runtime != engine.runtime) {
    fail(Code::config, "runtime is ", quoted(options.runtime), ", but ", name_of(path),
         " was built for ", quoted(engine.runtime));
  }
  if (options.device == "cpu") {
    fail(Code::config, "device is 'cpu', but ", name_of(path), " runs in ", engine.runtime,
         " on cuda: choose that");
  }
}

OpenedModel open_with_runtime(const std::string& path, bool is_onnx, const Options& options) {
  const std::vector<std::uint8_t> file = read_file(path);
  if (is_onnx) return open_onnx(path, file, options);
  OpenedModel opened;
  opened.manifest = manifest_from_sidecar(path, file);
  if (!opened.manifest.engine) {
    fail(Code::artifact, path, ": its manifest describes a file of kind ",
         quoted(opened.manifest.kind), ", not an engine");
  }
  require_fit(path, *opened.manifest.engine, options);
  opened.runtime = open_engine(path, file, opened.manifest);
  return opened;
}

}  // namespace

OpenedModel open_model(const std::string& path, const Options& options) {
  require_valid(options);
  const std::string suffix = std::filesystem::path(path).extension().string();
  const bool is_onnx = suffix == ".onnx";
  if (!is_onnx && suffix != ".engine") {
    fail(Code::artifact, path, ": ", quoted(suffix),
         " is not the suffix of a model file: .onnx and .engine are read. "
         "To convert a checkpoint: lifeiqa-export FILE.safetensors");
  }
  require_fit(path, is_onnx, options.runtime);
  if (!std::filesystem::is_regular_file(path)) fail(Code::artifact, path, ": no such model file");
  OpenedModel opened = open_with_runtime(path, is_onnx, options);
  Model& model = opened.manifest.model;
  model.runtime = opened.runtime->description();
  if (!options.crops.empty()) model.preprocessing.plan = options.crops;
  return opened;
}

}  // namespace lifeiqa
