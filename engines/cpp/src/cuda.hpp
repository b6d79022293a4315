// The part of the CUDA runtime that an engine needs: calls that throw on failure, and owners of
// memory, streams and graphs.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "error.hpp"

namespace lifeiqa {

inline void require_success(cudaError_t status, const char* call) {
  if (status != cudaSuccess) {
    fail(Code::device, call, ": ", cudaGetErrorName(status), ", ", cudaGetErrorString(status));
  }
}

#define LIFEIQA_CUDA(call) ::lifeiqa::require_success((call), #call)

struct FreeOnDevice {
  void operator()(void* memory) const noexcept { cudaFree(memory); }
};
struct FreeOnHost {
  void operator()(void* memory) const noexcept { cudaFreeHost(memory); }
};
using DeviceMemory = std::unique_ptr<void, FreeOnDevice>;
using PinnedMemory =
    std::unique_ptr<void, FreeOnHost>;  // page-locked, so that copies are asynchronous

inline DeviceMemory device_memory(std::size_t size) {
  void* memory = nullptr;
  LIFEIQA_CUDA(cudaMalloc(&memory, size));
  return DeviceMemory(memory);
}

inline PinnedMemory pinned_memory(std::size_t size) {
  void* memory = nullptr;
  LIFEIQA_CUDA(cudaMallocHost(&memory, size));
  return PinnedMemory(memory);
}

// A stream that does not synchronise with the default stream.
class Stream {
 public:
  Stream() { LIFEIQA_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }

  cudaStream_t get() const noexcept { return stream_; }
  void wait() const { LIFEIQA_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

// A CUDA graph of the work that a function enqueues.
class Graph {
 public:
  Graph(const Stream& stream, const std::function<void()>& enqueue) {
    // Thread-local capture, so that other threads may allocate memory meanwhile.
    LIFEIQA_CUDA(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    try {
      enqueue();
    } catch (...) {
      // The stream is unusable until the capture ends.
      if (cudaStreamEndCapture(stream.get(), &graph_) == cudaSuccess) destroy();
      throw;
    }
    try {
      LIFEIQA_CUDA(cudaStreamEndCapture(stream.get(), &graph_));
      LIFEIQA_CUDA(cudaGraphInstantiate(&executable_, graph_, 0));
    } catch (...) {
      destroy();
      throw;
    }
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() { destroy(); }

  void launch(const Stream& stream) const {
    LIFEIQA_CUDA(cudaGraphLaunch(executable_, stream.get()));
  }

 private:
  void destroy() noexcept {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
    if (graph_ != nullptr) cudaGraphDestroy(graph_);
    executable_ = nullptr;
    graph_ = nullptr;
  }

  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace lifeiqa
