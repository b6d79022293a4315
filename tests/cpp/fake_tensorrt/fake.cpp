// A fake of TensorRT, the CUDA runtime and the driver, in one library. The score of a crop is the
// mean of its samples divided by 255. The fake records every call and every object that is not yet
// freed, and the call that the environment variable FAKE_FAIL names fails.
#include <NvInferRuntime.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

std::string calls, report;
std::map<void*, std::string> owned;  // objects that are not yet freed

bool fails(const std::string& name) {
  calls += name + "\n";
  const char* const failing = std::getenv("FAKE_FAIL");
  return failing != nullptr && name == failing;
}

cudaError_t status_of(const char* name) {
  return fails(name) ? cudaErrorMemoryAllocation : cudaSuccess;
}

template <typename T>
T* track(T* object, const char* name) {
  owned[object] = name;
  return object;
}

template <typename T>
void untrack(T* object, const char* name) {
  if (owned.count(object) == 0) calls += std::string("DOUBLE FREE ") + name + "\n";
  owned.erase(object);
}

}  // namespace

struct FakeGraph {
  std::vector<std::function<void()>> steps;
};
struct FakeStream {
  FakeGraph* capturing = nullptr;
};
struct FakeExecutable {
  std::vector<std::function<void()>> steps;
};

namespace {

void enqueue(FakeStream* stream, std::function<void()> step) {
  if (stream->capturing != nullptr) {
    stream->capturing->steps.push_back(std::move(step));
  } else {
    step();
  }
}

class Context final : public nvinfer1::IExecutionContext {
 public:
  Context() { track(this, "context"); }
  ~Context() noexcept override { untrack(this, "context"); }

  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t) noexcept override {
    return !fails("profile " + std::to_string(profile));
  }
  bool setInputShape(char const* name, nvinfer1::Dims4 const& shape) noexcept override {
    batch_ = shape.d[0];
    crop_ = shape.d[1] * shape.d[2] * shape.d[3];
    return std::strcmp(name, "crops") == 0 && !fails("shape " + std::to_string(batch_));
  }
  bool setTensorAddress(char const* name, void* data) noexcept override {
    (std::strcmp(name, "crops") == 0 ? crops_ : scores_) = data;
    return !fails("address");
  }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (fails("enqueue")) return false;
    enqueue(stream, [this] {
      for (int64_t each = 0; each < batch_; ++each) {
        const auto* const crop = static_cast<const unsigned char*>(crops_) + each * crop_;
        double sum = 0;
        for (int64_t at = 0; at < crop_; ++at) sum += crop[at];
        static_cast<float*>(scores_)[each] =
            static_cast<float>(sum / (255.0 * static_cast<double>(crop_)));
      }
    });
    return true;
  }

 private:
  void* crops_ = nullptr;
  void* scores_ = nullptr;
  int64_t batch_ = 0, crop_ = 0;
};

class RuntimeConfig final : public nvinfer1::IRuntimeConfig {
 public:
  RuntimeConfig() { track(this, "runtime config"); }
  ~RuntimeConfig() noexcept override { untrack(this, "runtime config"); }
  void setExecutionContextAllocationStrategy(
      nvinfer1::ExecutionContextAllocationStrategy) noexcept override {}
  bool setCudaGraphStrategy(nvinfer1::CudaGraphStrategy) noexcept override {
    return !fails("graph strategy");
  }
};

class Engine final : public nvinfer1::ICudaEngine {
 public:
  Engine() { track(this, "engine"); }
  ~Engine() noexcept override { untrack(this, "engine"); }
  nvinfer1::IRuntimeConfig* createRuntimeConfig() noexcept override {
    return fails("runtime config") ? nullptr : new RuntimeConfig;
  }
  nvinfer1::IExecutionContext* createExecutionContext(
      nvinfer1::ExecutionContextAllocationStrategy) noexcept override {
    return fails("context") ? nullptr : new Context;
  }
  nvinfer1::IExecutionContext* createExecutionContext(
      nvinfer1::IRuntimeConfig* config) noexcept override {
    return fails("context") || owned.count(config) == 0 ? nullptr : new Context;
  }
};

class Runtime final : public nvinfer1::IRuntime {
 public:
  explicit Runtime(nvinfer1::ILogger& logger) : logger_(logger) { track(this, "runtime"); }
  ~Runtime() noexcept override { untrack(this, "runtime"); }
  void setEngineHostCodeAllowed(bool allowed) noexcept override {
    calls += allowed ? "host code\n" : "no host code\n";
  }
  nvinfer1::ICudaEngine* deserializeCudaEngine(void const* blob,
                                               std::size_t size) noexcept override {
    fails("deserialize");
    if (size >= 4 && std::memcmp(blob, "plan", 4) == 0) return new Engine;
    logger_.log(nvinfer1::ILogger::Severity::kWARNING, "a warning");
    logger_.log(nvinfer1::ILogger::Severity::kERROR, "magic tag does not match");
    return nullptr;
  }

 private:
  nvinfer1::ILogger& logger_;
};

}  // namespace

namespace nvinfer1 {
IRuntime* createInferRuntime(ILogger& logger) noexcept {
  return fails("runtime") ? nullptr : new Runtime(logger);
}
}  // namespace nvinfer1

extern "C" {
int32_t getInferLibMajorVersion() noexcept { return 11; }
int32_t getInferLibMinorVersion() noexcept { return 2; }
int32_t getInferLibPatchVersion() noexcept { return 0; }
int32_t getInferLibBuildVersion() noexcept { return 5; }

const char* cudaGetErrorName(cudaError_t) { return "cudaErrorMemoryAllocation"; }
const char* cudaGetErrorString(cudaError_t) { return "out of memory"; }

cudaError_t cudaMalloc(void** memory, std::size_t size) {
  const cudaError_t status = status_of("malloc");
  if (status == cudaSuccess) *memory = track(std::malloc(size), "device memory");
  return status;
}
cudaError_t cudaFree(void* memory) {
  untrack(memory, "device memory");
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t size) {
  const cudaError_t status = status_of("malloc host");
  if (status == cudaSuccess) *memory = track(std::malloc(size), "pinned memory");
  return status;
}
cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind,
                            cudaStream_t stream) {
  const cudaError_t status = status_of("copy");
  if (status == cudaSuccess) enqueue(stream, [=] { std::memcpy(to, from, size); });
  return status;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const cudaError_t status = status_of("stream");
  if (status == cudaSuccess) *stream = track(new FakeStream, "stream");
  return status;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  untrack(stream, "stream");
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return status_of("synchronize"); }
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const cudaError_t status = status_of("begin capture");
  if (status == cudaSuccess) stream->capturing = track(new FakeGraph, "graph");
  return status;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capturing;
  stream->capturing = nullptr;
  return status_of("end capture");
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  const cudaError_t status = status_of("instantiate");
  if (status == cudaSuccess) *made = track(new FakeExecutable{graph->steps}, "executable");
  return status;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
  const cudaError_t status = status_of("launch");
  if (status == cudaSuccess) {
    for (const auto& step : graph->steps) step();
  }
  return status;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  untrack(graph, "executable");
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  untrack(graph, "graph");
  delete graph;
  return cudaSuccess;
}

// The driver, as libcuda.so.1.
int cuInit(unsigned) { return fails("cuInit") ? 999 : 0; }
int cuDeviceGetCount(int* count) {
  *count = fails("cuDeviceGetCount") ? 0 : 1;
  return 0;
}
int cuDeviceGet(int* device, int) { return *device = 0; }
int cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "Fake GPU", static_cast<std::size_t>(length));
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 8 : 9;
  return 0;
}
int cuGetErrorString(int, const char** text) {
  *text = "unknown error";
  return 0;
}

// The calls since the last report, then "owned:" and the objects that are not yet freed.
const char* fake_calls() {
  report = calls + "owned:";
  for (const auto& [object, name] : owned) report += " " + name;
  calls.clear();
  return report.c_str();
}
}
