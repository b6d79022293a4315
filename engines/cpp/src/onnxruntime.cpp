// ONNX Runtime on a CPU or a CUDA device. Mirrors lifeiqa/runtimes/onnxruntime/session.py.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>

#include "driver.hpp"
#include "error.hpp"
#include "onnx_file.hpp"
#include "onnx_graph.hpp"
#include "runtime.hpp"

namespace lifeiqa {
namespace {

constexpr auto manifest_key = "lifeiqa";  // in the metadata of an ONNX file

// Whether this ONNX Runtime was built with CUDA.
bool built_with_cuda() {
  const std::vector<std::string> names = Ort::GetAvailableProviders();
  return std::find(names.begin(), names.end(), "CUDAExecutionProvider") != names.end();
}

// Whether to run on CUDA. An empty device means CUDA if the library and the driver support it.
bool choose_cuda(const std::string& device) {
  if (device == "cpu" || (device.empty() && !built_with_cuda())) return false;
  if (!built_with_cuda()) {
    fail(Code::config, "device is 'cuda', but this ONNX Runtime was built without CUDA");
  }
  try {
    cuda_device();
  } catch (const Error& error) {
    if (device.empty()) return false;
    fail(Code::device, "device is 'cuda': ", error.what(), ". Or use device cpu");
  }
  return true;
}

void add_cuda(Ort::SessionOptions& options) {
  const OrtApi& api = Ort::GetApi();
  OrtCUDAProviderOptionsV2* made = nullptr;
  Ort::ThrowOnError(api.CreateCUDAProviderOptions(&made));
  const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)> cuda(
      made, api.ReleaseCUDAProviderOptions);
  // TF32 is on by default. It would reduce the factors of float32 products to 10 bits.
  const char* const names[] = {"use_tf32"};
  const char* const values[] = {"0"};
  Ort::ThrowOnError(api.UpdateCUDAProviderOptions(cuda.get(), names, values, 1));
  options.AppendExecutionProvider_CUDA_V2(*cuda);
}

// ONNX Runtime needs one environment per process.
const Ort::Env& environment() {
  static const Ort::Env env = [] {
    if (Ort::Global<void>::api_ == nullptr) {
      fail(Code::missing,
           "libonnxruntime.so is older than the headers that this library was built with, 1.",
           ORT_API_VERSION, ": install that release or a later one");
    }
    Ort::Env made(ORT_LOGGING_LEVEL_FATAL, "lifeiqa");
    made.DisableTelemetryEvents();
    return made;
  }();
  return env;
}

class OnnxRuntime final : public Runtime {
 public:
  OnnxRuntime(const std::string& path, const std::vector<std::uint8_t>& file,
              const Options& options, bool cuda)
      : path_(path), cuda_(cuda) {
    const Ort::Env& env = environment();
    try {
      Ort::SessionOptions settings;
      settings.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);  // errors are thrown, not printed
      if (options.threads > 0) settings.SetIntraOpNumThreads(options.threads);
      if (cuda) add_cuda(settings);
      session_ = Ort::Session(env, file.data(), file.size(), settings);
    } catch (const Ort::Exception& error) {
      fail(Code::artifact, path, ": ONNX Runtime cannot load it: ", error.what());
    }
  }

  // Checks the graph against its manifest. Call it before the first run.
  void require_match(const Manifest& manifest) {
    require_graph(path_, session_, manifest);
    size_ = manifest.model.preprocessing.size;
    batch_ = manifest.batch;
  }

  // The manifest inside the file; empty if there is none.
  std::string embedded_manifest() const {
    const Ort::AllocatorWithDefaultOptions allocator;
    const Ort::ModelMetadata found = session_.GetModelMetadata();
    const auto text = found.LookupCustomMetadataMapAllocated(manifest_key, allocator);
    return text ? std::string(text.get()) : std::string();
  }

  void run(const std::uint8_t* crops, std::size_t count, float* scores) override {
    if (!batch_) return run_batch(crops, count, scores);
    // The graph has a static batch size. The last batch is padded with copies of its first crop.
    const std::size_t crop = bytes_of_crop(), size = static_cast<std::size_t>(*batch_);
    for (std::size_t start = 0; start < count; start += size) {
      const std::size_t length = std::min(size, count - start);
      const std::uint8_t* batch = crops + start * crop;
      if (length == size) {
        run_batch(batch, size, scores + start);
        continue;
      }
      std::vector<std::uint8_t> padded(batch, batch + length * crop);
      for (std::size_t each = length; each < size; ++each) {
        padded.insert(padded.end(), batch, batch + crop);
      }
      std::vector<float> padded_scores(size);
      run_batch(padded.data(), size, padded_scores.data());
      std::copy_n(padded_scores.begin(), length, scores + start);
    }
  }

  std::string description() const override {
    return "ONNX Runtime " + Ort::GetVersionString() + (cuda_ ? " CUDA" : " CPU");
  }

 private:
  std::size_t bytes_of_crop() const {
    return static_cast<std::size_t>(size_) * static_cast<std::size_t>(size_) * 3;
  }

  void run_batch(const std::uint8_t* crops, std::size_t count, float* scores) {
    std::unique_lock<std::mutex> guard(mutex_, std::defer_lock);
    if (cuda_) guard.lock();
    const std::array<std::int64_t, 4> shape = {static_cast<std::int64_t>(count), size_, size_, 3};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    try {
      // ONNX Runtime does not write to an input, but its interface takes a pointer to non-const.
      const Ort::Value input = Ort::Value::CreateTensor<std::uint8_t>(
          memory, const_cast<std::uint8_t*>(crops), count * bytes_of_crop(), shape.data(),
          shape.size());
      const char* const inputs[] = {input_name};
      const char* const outputs[] = {output_name};
      const auto found = session_.Run(Ort::RunOptions(), inputs, &input, 1, outputs, 1);
      require_scores(path_, found[0], count);
      std::copy_n(found[0].GetTensorData<float>(), count, scores);
    } catch (const Ort::Exception& error) {
      if (!cuda_) fail(Code::artifact, path_, ": ONNX Runtime cannot run it: ", error.what());
      fail(Code::device, path_, ": ONNX Runtime failed on the GPU: ", error.what(),
           ". If it is out of memory, check what else uses the GPU (nvidia-smi)");
    }
  }

  std::string path_;
  bool cuda_;
  Ort::Session session_{nullptr};
  int size_ = 0;
  std::optional<int> batch_;
  std::mutex mutex_;
};

}  // namespace

OpenedModel open_onnx(const std::string& path, const std::vector<std::uint8_t>& file,
                      const Options& options) {
  OpenedModel opened;
  // A sidecar that exists but is not a file, such as a broken link, is an error.
  const bool has_sidecar = std::filesystem::symlink_status(sidecar_of(path)).type() !=
                           std::filesystem::file_type::not_found;
  if (has_sidecar) opened.manifest = manifest_from_sidecar(path, file);
  require_one_file(path, file);
  const bool cuda = choose_cuda(options.device);
  auto runtime = std::make_unique<OnnxRuntime>(path, file, options, cuda);
  if (!has_sidecar) {
    const std::string text = runtime->embedded_manifest();
    if (text.empty()) {
      fail(Code::artifact, path,
           ": it has no lifeiqa manifest, so its preprocessing and label range are unknown. "
           "To convert a checkpoint of the published code: lifeiqa convert");
    }
    opened.manifest = manifest_from_text(text, path, file);
  }
  if (opened.manifest.kind != "onnx") {
    fail(Code::artifact, path, ": its manifest describes a file of kind ",
         quoted(opened.manifest.kind), ", not an ONNX model");
  }
  runtime->require_match(opened.manifest);
  opened.runtime = std::move(runtime);
  return opened;
}

bool has_onnxruntime() noexcept { return true; }

}  // namespace lifeiqa
