// ONNX Runtime on a CPU or a CUDA device; the twin of lifeiqa/runtimes/onnxruntime/session.py.
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

constexpr auto metadata_key = "lifeiqa";  // of the manifest inside an ONNX file

bool has_cuda() {
  const std::vector<std::string> names = Ort::GetAvailableProviders();
  return std::find(names.begin(), names.end(), "CUDAExecutionProvider") != names.end();
}

// The provider that was asked for, or an error; CUDA where nobody asked, and it is there.
bool chooses_cuda(const std::string& asked) {
  if (!asked.empty() && asked != "cpu" && asked != "cuda") {
    fail(Code::config, "provider is ", in_quotes(asked), ": choose one of cpu, cuda");
  }
  if (asked == "cpu" || (asked.empty() && !has_cuda())) return false;
  if (!has_cuda()) {
    fail(Code::config, "provider is 'cuda', and this ONNX Runtime was built without CUDA");
  }
  try {
    cuda_device();
  } catch (const Error& error) {
    if (asked.empty()) return false;
    fail(Code::device, "provider is 'cuda': ", error.what(), ". Or pass provider cpu");
  }
  return true;
}

void add_cuda(Ort::SessionOptions& options) {
  const OrtApi& api = Ort::GetApi();
  OrtCUDAProviderOptionsV2* made = nullptr;
  Ort::ThrowOnError(api.CreateCUDAProviderOptions(&made));
  const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)> cuda(
      made, api.ReleaseCUDAProviderOptions);
  // TF32 is on by default: float32 products would keep 10 bits of each factor.
  const char* const names[] = {"use_tf32"};
  const char* const values[] = {"0"};
  Ort::ThrowOnError(api.UpdateCUDAProviderOptions(cuda.get(), names, values, 1));
  options.AppendExecutionProvider_CUDA_V2(*cuda);
}

// One environment a process, as ONNX Runtime wants it.
const Ort::Env& environment() {
  static const Ort::Env env = [] {
    if (Ort::Global<void>::api_ == nullptr) {
      fail(Code::missing,
           "the library of ONNX Runtime is older than the headers that this library "
           "was built with, 1.",
           ORT_API_VERSION, ": install that or a later one");
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
    if (options.threads < 0) {
      fail(Code::config, "threads is ", options.threads, ": at least 1 is expected");
    }
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

  // To be called before the first run: what the graph must be.
  void expect(const Manifest& manifest) {
    require_graph(path_, session_, manifest);
    size_ = manifest.model.preprocessing.size;
    batch_ = manifest.batch;
  }

  // The manifest inside the file; empty where it carries none.
  std::string metadata() const {
    const Ort::AllocatorWithDefaultOptions allocator;
    const Ort::ModelMetadata found = session_.GetModelMetadata();
    const auto text = found.LookupCustomMetadataMapAllocated(metadata_key, allocator);
    return text ? std::string(text.get()) : std::string();
  }

  void run(const std::uint8_t* crops, std::size_t count, float* scores) override {
    if (!batch_) return run_whole(crops, count, scores);
    // A graph of one batch size: the last piece is filled up with copies of its first crop, which
    // cannot bring an infinity into the batch, unlike memory as it is found.
    const std::size_t crop = bytes_of_crop(), whole = static_cast<std::size_t>(*batch_);
    for (std::size_t start = 0; start < count; start += whole) {
      const std::size_t length = std::min(whole, count - start);
      const std::uint8_t* piece = crops + start * crop;
      if (length == whole) {
        run_whole(piece, whole, scores + start);
        continue;
      }
      std::vector<std::uint8_t> filled(piece, piece + length * crop);
      for (std::size_t each = length; each < whole; ++each) {
        filled.insert(filled.end(), piece, piece + crop);
      }
      std::vector<float> all(whole);
      run_whole(filled.data(), whole, all.data());
      std::copy_n(all.begin(), length, scores + start);
    }
  }

  std::string words() const override {
    return "ONNX Runtime " + Ort::GetVersionString() + (cuda_ ? " CUDA" : " CPU");
  }

 private:
  std::size_t bytes_of_crop() const {
    return static_cast<std::size_t>(size_) * static_cast<std::size_t>(size_) * 3;
  }

  void run_whole(const std::uint8_t* crops, std::size_t count, float* scores) {
    std::unique_lock<std::mutex> turn(lock_, std::defer_lock);
    if (cuda_) turn.lock();
    const std::array<std::int64_t, 4> shape = {static_cast<std::int64_t>(count), size_, size_, 3};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    try {
      // ONNX Runtime does not write into an input; its interface has no way to say so.
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
           ". If its memory is short, see what else uses it (nvidia-smi)");
    }
  }

  std::string path_;
  bool cuda_;
  Ort::Session session_{nullptr};
  int size_ = 0;
  std::optional<int> batch_;
  std::mutex lock_;
};

}  // namespace

Opened open_onnx(const std::string& path, const std::vector<std::uint8_t>& file,
                 const Options& options) {
  Opened opened;
  // What is there and no file is an error, not a file that went without its sidecar.
  const bool beside = std::filesystem::symlink_status(sidecar_of(path)).type() !=
                      std::filesystem::file_type::not_found;
  if (beside) opened.manifest = manifest_from_sidecar(path, file);
  require_one_file(path, file);
  auto runtime = std::make_unique<OnnxRuntime>(path, file, options, chooses_cuda(options.provider));
  if (!beside) {
    const std::string text = runtime->metadata();
    if (text.empty()) {
      fail(Code::artifact, path,
           ": it carries no lifeiqa manifest, so its preprocessing and label "
           "range are unknown. Checkpoints of the published code are read by: lifeiqa convert");
    }
    opened.manifest = manifest_from_text(text, path, file);
  }
  if (opened.manifest.kind != "onnx") {
    fail(Code::artifact, path, ": its manifest describes no ONNX model: ", opened.manifest.kind);
  }
  runtime->expect(opened.manifest);
  opened.runtime = std::move(runtime);
  return opened;
}

bool has_onnxruntime() noexcept { return true; }

}  // namespace lifeiqa
