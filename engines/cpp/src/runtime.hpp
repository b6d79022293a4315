// A runtime: crops in, scores out.
#pragma once

#include <memory>

#include "manifest.hpp"

namespace lifeiqa {

class Runtime {
 public:
  virtual ~Runtime() = default;

  // Scores crops, uint8 (count, size, size, 3). Any thread may call it.
  virtual void run(const std::uint8_t* crops, std::size_t count, float* scores) = 0;

  // Runtime and device for people, "ONNX Runtime 1.23.2 CPU".
  virtual std::string description() const = 0;
};

// A runtime that has loaded a model file, and the manifest of that file.
struct OpenedModel {
  Manifest manifest;
  std::unique_ptr<Runtime> runtime;
};

// Both take the bytes of the file, so that the bytes that were checked are the ones that run.
// open_onnx also reads the manifest, which may be inside the file.
OpenedModel open_onnx(const std::string& path, const std::vector<std::uint8_t>& file,
                      const Options& options);
std::unique_ptr<Runtime> open_engine(const std::string& path, const std::vector<std::uint8_t>& file,
                                     const Manifest& manifest);

// Whether the library was built with ONNX Runtime.
bool has_onnxruntime() noexcept;

// The TensorRT that the library was built with, "tensorrt" or "tensorrt-rtx"; empty if with
// neither.
std::string built_tensorrt();

}  // namespace lifeiqa
