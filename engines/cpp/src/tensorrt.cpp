// TensorRT: checks an engine before it loads it, and runs it with CUDA graphs. Mirrors
// lifeiqa/runtimes/tensorrt/session.py.
//
// An engine is native code. Loading an untrusted engine runs an untrusted program. The checksums in
// its sidecar show that the file is the one that was built, not that its builder can be trusted.
#include <NvInferRuntime.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>

#include "cuda.hpp"
#include "driver.hpp"
#include "error.hpp"
#include "runtime.hpp"

namespace lifeiqa {
namespace {

constexpr auto input_name = "crops";
constexpr auto output_name = "score";

#ifdef LIFEIQA_TENSORRT_RTX
constexpr auto runtime_name = "tensorrt-rtx";
constexpr auto title = "TensorRT-RTX";
#else
constexpr auto runtime_name = "tensorrt";
constexpr auto title = "TensorRT";
#endif

// Collects the errors that TensorRT logs, for the message of an exception. There is one per
// process, because TensorRT keeps the first logger that it gets and warns about any other.
class ErrorLog final : public nvinfer1::ILogger {
 public:
  static ErrorLog& instance() {
    static ErrorLog* const log =
        new ErrorLog;  // never destroyed, because TensorRT may use it until exit
    return *log;
  }

  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR) return;
    try {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (text_.size() < 4096) text_ += (text_.empty() ? "" : "; ") + std::string(message);
    } catch (...) {
    }
  }

  std::string take() {
    const std::lock_guard<std::mutex> guard(mutex_);
    std::string text = text_.empty() ? "it logged no reason" : std::move(text_);
    text_.clear();
    return text;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

void require(bool done, const std::string& what) {
  if (!done) {
    fail(Code::device, "TensorRT rejected the ", what, ": ", ErrorLog::instance().take());
  }
}

// Runs one batch size, with its own pinned host buffers and device buffers.
//
// The constructor runs once as a warm-up, then captures the copy to the device, the execution and
// the copy back as one CUDA graph. Each run replays that graph.
class HostBatch {
 public:
  HostBatch(std::unique_ptr<nvinfer1::IExecutionContext> context, const Stream& stream, int profile,
            int batch, int size, bool capture)
      : context_(std::move(context)),
        stream_(stream),
        batch_(static_cast<std::size_t>(batch)),
        crop_(static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * 3),
        pinned_crops_(pinned_memory(batch_ * crop_)),
        pinned_scores_(pinned_memory(batch_ * sizeof(float))),
        crops_(device_memory(batch_ * crop_)),
        scores_(device_memory(batch_ * sizeof(float))) {
    std::memset(pinned_crops_.get(), 0, batch_ * crop_);
    require(context_->setOptimizationProfileAsync(profile, stream.get()), "profile");
    require(context_->setInputShape(input_name, nvinfer1::Dims4{batch, size, size, 3}), "shape");
    require(context_->setTensorAddress(input_name, crops_.get()), "address of the crops");
    require(context_->setTensorAddress(output_name, scores_.get()), "address of the scores");
    enqueue();
    stream.wait();
    if (capture) graph_ = std::make_unique<Graph>(stream, [this] { enqueue(); });
  }

  // count is at most the batch size.
  void run(const std::uint8_t* crops, std::size_t count, float* scores) {
    auto* const pinned = static_cast<std::uint8_t*>(pinned_crops_.get());
    std::memcpy(pinned, crops, count * crop_);
    for (std::size_t each = count; each < batch_; ++each) {
      std::memcpy(pinned + each * crop_, crops, crop_);  // padding; its score is dropped
    }
    if (graph_) {
      graph_->launch(stream_);
    } else {
      enqueue();
    }
    stream_.wait();
    std::memcpy(scores, pinned_scores_.get(), count * sizeof(float));
  }

 private:
  void enqueue() {
    LIFEIQA_CUDA(cudaMemcpyAsync(crops_.get(), pinned_crops_.get(), batch_ * crop_,
                                 cudaMemcpyHostToDevice, stream_.get()));
    require(context_->enqueueV3(stream_.get()), "execution");
    LIFEIQA_CUDA(cudaMemcpyAsync(pinned_scores_.get(), scores_.get(), batch_ * sizeof(float),
                                 cudaMemcpyDeviceToHost, stream_.get()));
  }

  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  const Stream& stream_;
  std::size_t batch_, crop_;
  PinnedMemory pinned_crops_, pinned_scores_;
  DeviceMemory crops_, scores_;
  std::unique_ptr<Graph> graph_;
};

class TensorRt final : public Runtime {
 public:
  TensorRt(const std::string& path, const std::vector<std::uint8_t>& plan, const EngineInfo& info,
           int size, std::string device)
      : device_(std::move(device)), size_(size), batches_(batches_of(info.profiles)) {
    ErrorLog& log = ErrorLog::instance();
    runtime_.reset(nvinfer1::createInferRuntime(log));
    if (!runtime_) fail(Code::device, "TensorRT failed to start: ", log.take());
    // A version-compatible plan contains a runtime. No other plan contains host code.
    runtime_->setEngineHostCodeAllowed(info.version_compatible);
    engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
    if (!engine_) fail(Code::artifact, path, ": TensorRT cannot load it: ", log.take());
  }

  void run(const std::uint8_t* crops, std::size_t count, float* scores) override {
    const std::lock_guard<std::mutex> guard(mutex_);
    const std::size_t crop = static_cast<std::size_t>(size_) * static_cast<std::size_t>(size_) * 3;
    const std::size_t largest = batches_.rbegin()->first;
    for (std::size_t start = 0; start < count; start += largest) {
      const std::size_t length = std::min(largest, count - start);
      const auto fitting = batches_.lower_bound(length);
      runner_of(fitting->first, fitting->second).run(crops + start * crop, length, scores + start);
    }
  }

  std::string description() const override {
    return std::string(title) + " " + std::to_string(getInferLibMajorVersion()) + "." +
           std::to_string(getInferLibMinorVersion()) + " " + device_ + ", CUDA graph";
  }

 private:
  // Batch sizes and the profile of each: the ends of a profile, and the powers of two between them.
  static std::map<std::size_t, int> batches_of(const std::vector<BatchProfile>& profiles) {
    std::map<std::size_t, int> batches;
    for (std::size_t number = 0; number < profiles.size(); ++number) {
      const BatchProfile& profile = profiles[number];
      const auto add = [&](int size) {
        batches.emplace(static_cast<std::size_t>(size), static_cast<int>(number));
      };
      add(profile.minimum);
      for (int size = 1; size < profile.maximum; size *= 2) {
        if (size > profile.minimum) add(size);
      }
      add(profile.maximum);
    }
    return batches;
  }

  HostBatch& runner_of(std::size_t batch, int profile) {
    auto& runner = runners_[batch];
    if (!runner) {
#ifdef LIFEIQA_TENSORRT_RTX
      constexpr bool capture = false;  // it captures graphs itself
#else
      constexpr bool capture = true;
#endif
      runner = std::make_unique<HostBatch>(create_context(), stream_, profile,
                                           static_cast<int>(batch), size_, capture);
    }
    return *runner;
  }

  // A context whose working memory fits the one profile that it will use.
  std::unique_ptr<nvinfer1::IExecutionContext> create_context() {
    constexpr auto strategy = nvinfer1::ExecutionContextAllocationStrategy::kON_PROFILE_CHANGE;
#ifdef LIFEIQA_TENSORRT_RTX
    const std::unique_ptr<nvinfer1::IRuntimeConfig> config(engine_->createRuntimeConfig());
    if (!config) {
      fail(Code::device,
           "TensorRT created no runtime configuration: ", ErrorLog::instance().take());
    }
    config->setExecutionContextAllocationStrategy(strategy);
    require(config->setCudaGraphStrategy(nvinfer1::CudaGraphStrategy::kWHOLE_GRAPH_CAPTURE),
            "capture of CUDA graphs");
    std::unique_ptr<nvinfer1::IExecutionContext> context(
        engine_->createExecutionContext(config.get()));
#else
    std::unique_ptr<nvinfer1::IExecutionContext> context(engine_->createExecutionContext(strategy));
#endif
    if (!context) {
      fail(Code::device, "TensorRT created no execution context: ", ErrorLog::instance().take());
    }
    return context;
  }

  std::string device_;
  int size_;
  std::map<std::size_t, int> batches_;
  Stream stream_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::map<std::size_t, std::unique_ptr<HostBatch>>
      runners_;  // destroyed before engine_ and stream_
  std::mutex mutex_;
};

// "11.2.0.5" -> 11, 2, 0, 5
std::vector<int> version_numbers(const std::string& version) {
  std::vector<int> numbers;
  std::istringstream text(version);
  for (std::string part; std::getline(text, part, '.');) {
    numbers.push_back(std::atoi(part.c_str()));
  }
  return numbers;
}

// "8.9" -> "89"
std::string target_of(std::string capability) {
  capability.erase(std::remove(capability.begin(), capability.end(), '.'), capability.end());
  return capability;
}

void require_version(const EngineInfo& info, const std::string& rebuild) {
  const std::vector<int> built = version_numbers(info.version);
  std::vector<int> here = {getInferLibMajorVersion(), getInferLibMinorVersion(),
                           getInferLibPatchVersion(), getInferLibBuildVersion()};
  here.resize(std::max<std::size_t>(1, std::min(here.size(), built.size())));
  if (here == built || (info.version_compatible && here > built)) return;
  std::string found;
  for (const int each : here) found += (found.empty() ? "" : ".") + std::to_string(each);
  fail(Code::engine_mismatch, "built by ", title, " ", info.version, ", this is ", found,
       ". Rebuild: ", rebuild);
}

void require_gpu(const EngineInfo& info, const Device& device, const std::string& rebuild) {
  const std::vector<int> built = version_numbers(info.compute_capability);
  const std::vector<int> here = version_numbers(device.compute_capability);
  const bool later = info.hardware_compatibility == "ampere_plus" && here >= std::vector<int>{8, 0};
  if (here == built || later) return;
  fail(Code::engine_mismatch, "built for SM", target_of(info.compute_capability), ", this is SM",
       target_of(device.compute_capability), " (", device.name, "). Rebuild: ", rebuild);
}

}  // namespace

std::unique_ptr<Runtime> open_engine(const std::string& path, const std::vector<std::uint8_t>& file,
                                     const Manifest& manifest) {
  const EngineInfo& info = *manifest.engine;
  const std::string rebuild =
      "lifeiqa-engine build " + manifest.source + " --runtime " + info.runtime;
  if (info.runtime != runtime_name) {
    fail(Code::missing, path, ": it was built for ", info.runtime,
         ", but this library was built with ", runtime_name,
         ". Rebuild the engine, or rebuild this library with the other -DTENSORRT_ROOT=FOLDER");
  }
  require_version(info, rebuild);
  if (info.stripped) {
    fail(Code::artifact, path,
         ": it was built without its weights, which only the Python package can restore. Rebuild: ",
         rebuild);
  }
  const Device device = cuda_device();
  require_gpu(info, device, rebuild);
  const int size = manifest.model.preprocessing.size;
  return std::make_unique<TensorRt>(path, file, info, size, device.name);
}

std::string built_tensorrt() { return runtime_name; }

}  // namespace lifeiqa
