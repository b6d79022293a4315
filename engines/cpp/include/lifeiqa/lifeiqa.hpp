// Blind image quality in C++17: an image and a model file of lifeiqa in, the score out.
//
//     auto scorer = lifeiqa::Scorer::open("lite0-biq2021.onnx");
//     lifeiqa::Score score = scorer.score_file("image.jpg");
//
// The crops are those of the Python package, byte for byte, and so are the scores of one runtime.
//
// Errors. A function that can fail throws lifeiqa::Error, whose text is that of the Python package.
// Beside each stands one with try_ before its name, which never throws and returns a Result; this
// header can be compiled without exceptions.
//
// Threads. A Scorer may be used from any thread. With ONNX Runtime on a CPU calls run side by side;
// on a GPU they take turns. A Scorer that another thread still uses may not be moved or destroyed.
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

// What kind of error; the names are those of the Python package's classes.
enum class Code {
  ok = 0,
  config = 1,           // a setting that cannot work
  image = 2,            // an image that cannot be decoded or cropped
  artifact = 3,         // a model file that is missing, damaged or not what its manifest says
  engine_mismatch = 4,  // an engine built for another TensorRT or another chip than is here
  device = 5,           // no CUDA driver or device, or a CUDA call that failed
  missing = 6,          // this library was built without what the file needs
  internal = 7,         // anything else: memory ran out, the runtime failed
};

struct Status {
  Code code = Code::ok;
  std::string message;

  bool ok() const noexcept { return code == Code::ok; }
};

class LIFEIQA_EXPORT Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ~Error() override;  // in the library, so that it is one type on both sides of it
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

// A value, or the reason why there is none.
template <typename T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Status& status() const noexcept { return status_; }
  T& value() noexcept { return *value_; }  // only where ok()
  const T& value() const noexcept { return *value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

// An image in memory: RGB, 8 bits a sample, rows from the top.
struct Image {
  std::vector<std::uint8_t> rgb;  // width * height * 3
  int width = 0;
  int height = 0;
};

// Square crops, one after the other: uint8 (count, size, size, 3).
struct Crops {
  std::vector<std::uint8_t> rgb;
  int count = 0;
  int size = 0;
};

struct Score {
  double value = 0;          // mean over the crops, in the label units of the model
  double std = 0;            // population standard deviation over the crops
  std::vector<float> crops;  // score of each crop, in the order of the crop plan
};

// How an image becomes crops; a model file says it of itself.
struct Preprocessing {
  int size = 224;                    // side of a crop in pixels
  std::optional<int> short_side;     // a larger shorter side is reduced to it; none: never
  std::string resample = "bicubic";  // or bilinear
  std::string plan = "five";         // center, five, grid:N or random:N:SEED
};

// Largest image taken unless Options say otherwise: 128 megapixels.
constexpr std::int64_t max_pixels_default = 128'000'000;

struct Options {
  std::string crops;     // a crop plan in place of the model's own; empty keeps that
  std::string provider;  // "cpu" or "cuda"; empty takes CUDA where it is, for an ONNX file
  int threads = 0;       // CPU threads within one run; 0 leaves it to the runtime
  std::int64_t max_pixels = max_pixels_default;
};

// What a model file says of itself.
struct Model {
  std::string name;
  std::string sha256;        // of the file
  std::string precision;     // fp32, fp16 or int8
  std::string runtime;       // what runs it here
  double low = 0, high = 1;  // range of the scores
  bool higher_is_better = true;
  Preprocessing preprocessing;
};

class LIFEIQA_EXPORT Scorer {
 public:
  // Opens an .onnx file or an .engine, and the sidecar <file>.json beside it, which is checked.
  static Scorer open(const std::string& path, const Options& options = {});
  static Result<Scorer> try_open(const std::string& path, const Options& options = {}) noexcept;

  // RGB rows of width * 3 bytes, the start of each stride bytes after that of the one before.
  Score score(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride) const;
  Result<Score> try_score(const std::uint8_t* rgb, int width, int height,
                          std::ptrdiff_t stride) const noexcept;

  // A JPEG or PNG file, where the library was built with decoding.
  Score score_file(const std::string& path) const;
  Result<Score> try_score_file(const std::string& path) const noexcept;

  // The bytes of such a file; name stands for it in error messages.
  Score score_bytes(const void* data, std::size_t length, const std::string& name = "") const;
  Result<Score> try_score_bytes(const void* data, std::size_t length,
                                const std::string& name = "") const noexcept;

  // Crops that were cut already, uint8 (count, size, size, 3), at most 32 in one run.
  std::vector<float> score_crops(const std::uint8_t* crops, std::size_t count) const;
  Result<std::vector<float>> try_score_crops(const std::uint8_t* crops,
                                             std::size_t count) const noexcept;

  const Model& model() const noexcept;

  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;
  ~Scorer();

 private:
  struct Inside;
  explicit Scorer(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

// Decodes a JPEG or PNG by the policy of README.md.
LIFEIQA_EXPORT Image decode_file(const std::string& path,
                                 std::int64_t max_pixels = max_pixels_default);
LIFEIQA_EXPORT Image decode(const void* data, std::size_t length, const std::string& name = "",
                            std::int64_t max_pixels = max_pixels_default);

// Cuts an image into crops.
LIFEIQA_EXPORT Crops cut(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride,
                         const Preprocessing& preprocessing);

// Whether this library was built with decoding, or with a runtime: "onnxruntime", "tensorrt".
LIFEIQA_EXPORT bool has_decoding() noexcept;
LIFEIQA_EXPORT bool has_runtime(const std::string& name) noexcept;

}  // namespace lifeiqa
