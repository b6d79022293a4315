// Blind image quality in C++17: takes an image and a lifeiqa model file, returns the score.
//
//     auto scorer = lifeiqa::Scorer::open("fast.onnx");
//     lifeiqa::Score score = scorer.score_file("image.jpg");
//
// Crops are equal to those of the Python package, byte for byte. With the same ONNX Runtime, scores
// are equal to the last bit.
//
// Errors. A function that can fail throws lifeiqa::Error. Its try_ variant never throws and returns
// a Result instead. This header compiles without exceptions.
//
// Threads. A Scorer may be used from any thread. With ONNX Runtime on a CPU, calls run in parallel;
// on a GPU they take turns. Do not move or destroy a Scorer while another thread uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lifeiqa/export.h"

namespace lifeiqa {

// The kind of an error. Each corresponds to an exception class of the Python package.
enum class Code {
  ok = 0,
  config = 1,           // a setting that cannot work
  image = 2,            // an image that cannot be decoded or cropped
  artifact = 3,         // a model file that is missing, damaged or does not match its manifest
  engine_mismatch = 4,  // an engine that was built for another TensorRT release or another GPU
  device = 5,           // no CUDA driver or device, or a failed CUDA call
  missing = 6,          // this library was built without something that the file needs
  internal = 7,         // anything else, for instance out of memory
};

struct Status {
  Code code = Code::ok;
  std::string message;

  bool ok() const noexcept { return code == Code::ok; }
};

class LIFEIQA_EXPORT Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ~Error() override;  // defined in the library, so that both sides share one type
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

// A value, or the error that prevented it.
template <typename T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Status& status() const noexcept { return status_; }
  T& value() noexcept { return *value_; }  // requires ok()
  const T& value() const noexcept { return *value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

// An image in memory: RGB, 8 bits a sample, top row first.
struct Image {
  std::vector<std::uint8_t> rgb;  // width * height * 3
  int width = 0;
  int height = 0;
};

// Square crops in one block of memory: uint8 (count, size, size, 3).
struct Crops {
  std::vector<std::uint8_t> rgb;
  int count = 0;
  int size = 0;
  bool gaps = false;  // the image is too long for crop plan cover, whose 16 crops leave gaps
};

struct Score {
  double value = 0;          // mean over the crops, in the label units of the model
  double std = 0;            // population standard deviation over the crops
  std::vector<float> crops;  // score of each crop, in the order of the crop plan
  bool gaps = false;         // see Crops
};

// How an image becomes crops. The manifest of a model file defines it.
struct Preprocessing {
  int size = 224;                    // side of a crop in pixels
  std::optional<int> short_side;     // an image whose shorter side exceeds it is reduced to it
  std::string resample = "bicubic";  // or "bilinear"
  std::string plan = "five";         // center, cover, five, grid:N or random:N:SEED
};

// The default of Options::max_pixels: 128 megapixels.
constexpr std::int64_t max_pixels_default = 128'000'000;

struct Options {
  std::string crops;    // crop plan; empty: the model's own
  std::string runtime;  // "onnxruntime", "tensorrt" or "tensorrt-rtx"; empty: by file
  std::string device;   // "cpu" or "cuda"; empty: CUDA if available
  int threads = 0;      // CPU threads within one run; 0: the runtime decides
  std::int64_t max_pixels = max_pixels_default;  // largest image that is accepted
};

// What a model file is, from its manifest.
struct Model {
  std::string name;
  std::string sha256;        // of the file
  std::string precision;     // fp32, fp16 or int8
  std::string runtime;       // runtime and device for people, "ONNX Runtime 1.23.2 CPU"
  double low = 0, high = 1;  // range of the scores
  bool higher_is_better = true;
  Preprocessing preprocessing;
};

class LIFEIQA_EXPORT Scorer {
 public:
  // Opens an .onnx or .engine file. Checks its sidecar <file>.json first.
  static Scorer open(const std::string& path, const Options& options = {});
  static Result<Scorer> try_open(const std::string& path, const Options& options = {}) noexcept;

  // Scores an image in memory: rows of width * 3 bytes, RGB, that start stride bytes apart.
  Score score(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride) const;
  Result<Score> try_score(const std::uint8_t* rgb, int width, int height,
                          std::ptrdiff_t stride) const noexcept;

  // Scores a JPEG or PNG file, if the library was built with decoding.
  Score score_file(const std::string& path) const;
  Result<Score> try_score_file(const std::string& path) const noexcept;

  // Scores the bytes of a JPEG or PNG file. name is what error messages call it.
  Score score_bytes(const void* data, std::size_t length, const std::string& name = "") const;
  Result<Score> try_score_bytes(const void* data, std::size_t length,
                                const std::string& name = "") const noexcept;

  // Scores crops, uint8 (count, size, size, 3), in batches of at most 32.
  std::vector<float> score_crops(const std::uint8_t* crops, std::size_t count) const;
  Result<std::vector<float>> try_score_crops(const std::uint8_t* crops,
                                             std::size_t count) const noexcept;

  const Model& model() const noexcept;

  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;
  ~Scorer();

 private:
  struct Impl;
  explicit Scorer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Decodes a JPEG or PNG file as docs/reference/preprocessing.md specifies.
LIFEIQA_EXPORT Image decode_file(const std::string& path,
                                 std::int64_t max_pixels = max_pixels_default);
LIFEIQA_EXPORT Image decode(const void* data, std::size_t length, const std::string& name = "",
                            std::int64_t max_pixels = max_pixels_default);

// Cuts an image into crops as docs/reference/preprocessing.md specifies.
LIFEIQA_EXPORT Crops cut(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride,
                         const Preprocessing& preprocessing);

// Whether this library was built with decoding, or with a runtime: "onnxruntime", "tensorrt" or
// "tensorrt-rtx".
LIFEIQA_EXPORT bool has_decoding() noexcept;
LIFEIQA_EXPORT bool has_runtime(const std::string& name) noexcept;

}  // namespace lifeiqa
