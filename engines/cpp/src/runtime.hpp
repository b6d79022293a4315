// What runs a graph: crops in, scores out.
#pragma once

#include <memory>

#include "manifest.hpp"

namespace lifeiqa {

class Runtime {
 public:
  virtual ~Runtime() = default;

  // Scores of `count` crops, uint8 (count, size, size, 3), from any thread.
  virtual void run(const std::uint8_t* crops, std::size_t count, float* scores) = 0;

  // What runs it, in words.
  virtual std::string words() const = 0;
};

// A runtime and the manifest of the file that it runs.
struct Opened {
  Manifest manifest;
  std::unique_ptr<Runtime> runtime;
};

// Each is given the bytes of the file, so that what was checked is what runs.
Opened open_onnx(const std::string& path, const std::vector<std::uint8_t>& file,
                 const Options& options);
Opened open_engine(const std::string& path, const std::vector<std::uint8_t>& file,
                   const Options& options);

// Whether the library was built with the runtime that opens it.
bool has_onnxruntime() noexcept;
bool has_tensorrt() noexcept;

}  // namespace lifeiqa
