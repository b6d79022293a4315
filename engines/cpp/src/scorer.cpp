#include <algorithm>
#include <cmath>
#include <filesystem>

#include "crop_plan.hpp"
#include "digest.hpp"
#include "error.hpp"
#include "resize.hpp"
#include "runtime.hpp"

namespace lifeiqa {
namespace {

constexpr std::size_t most_crops_at_once = 32;

// The sum in numpy's order: eight running sums of up to 128 values, halves of more. Another order
// may differ in the last bit.
template <typename Value>
double sum_of(std::size_t first, std::size_t count, const Value& value) {
  if (count < 8) {
    double sum = 0.0;
    for (std::size_t at = first; at < first + count; ++at) sum += value(at);
    return sum;
  }
  if (count <= 128) {
    double eight[8];
    for (std::size_t at = 0; at < 8; ++at) eight[at] = value(first + at);
    std::size_t at = 8;
    for (; at + 8 <= count; at += 8) {
      for (std::size_t each = 0; each < 8; ++each) eight[each] += value(first + at + each);
    }
    double sum = ((eight[0] + eight[1]) + (eight[2] + eight[3])) +
                 ((eight[4] + eight[5]) + (eight[6] + eight[7]));
    for (; at < count; ++at) sum += value(first + at);
    return sum;
  }
  std::size_t half = count / 2;
  half -= half % 8;
  return sum_of(first, half, value) + sum_of(first + half, count - half, value);
}

Score summary_of(std::vector<float> crops) {
  const auto count = static_cast<double>(crops.size());
  Score score;
  score.value = sum_of(0, crops.size(), [&](std::size_t at) { return double{crops[at]}; }) / count;
  const double squares = sum_of(0, crops.size(), [&](std::size_t at) {
    const double distance = double{crops[at]} - score.value;
    return distance * distance;
  });
  score.std = std::sqrt(squares / count);
  score.crops = std::move(crops);
  return score;
}

void require_number(double score) {
  if (std::isfinite(score)) return;
  const char* const found = std::isnan(score) ? "nan" : score > 0 ? "inf" : "-inf";
  fail(Code::artifact, "the model gave ", found,
       ", which is no score. Half precision may have overflowed: try the FP32 model");
}

void require_image(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride,
                   std::int64_t max_pixels) {
  if (rgb == nullptr || width < 1 || height < 1 || stride < std::ptrdiff_t{width} * 3) {
    fail(Code::image, "an image of ", width, "x", height, " with rows ", stride,
         " bytes apart: RGB of 8 bits is expected, and rows at least 3 bytes a pixel apart");
  }
  require_size(width, height, max_pixels);
}

Crops crops_of(View image, const Preprocessing& feed) {
  const CropPlan plan = CropPlan::parse(feed.plan);
  require_kernel(feed.resample);
  const Size size = working_size({image.height, image.width}, feed.short_side, feed.size);
  Image scaled;
  if (size.width != image.width || size.height != image.height) {
    scaled = resized(image, size, feed.resample);
    image = view_of(scaled);
  }
  Crops crops;
  crops.count = plan.count();
  crops.size = feed.size;
  const std::size_t row = static_cast<std::size_t>(feed.size) * 3;
  crops.rgb.resize(static_cast<std::size_t>(crops.count) * static_cast<std::size_t>(feed.size) *
                   row);
  std::uint8_t* out = crops.rgb.data();
  for (const Window& window : plan.windows(size, feed.size)) {
    for (int y = 0; y < feed.size; ++y) {
      out = std::copy_n(image.row(window.top + y) + std::ptrdiff_t{window.left} * 3, row, out);
    }
  }
  return crops;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Opened opened_file(const std::string& path, const Options& options) {
  if (!options.crops.empty()) CropPlan::parse(options.crops);
  const bool onnx = ends_with(path, ".onnx");
  if (!onnx && !ends_with(path, ".engine")) {
    fail(Code::artifact, path,
         ": it is no model file that is read here: .onnx and .engine are. "
         "A checkpoint becomes one by: lifeiqa-export FILE.safetensors");
  }
  if (!std::filesystem::is_regular_file(path)) fail(Code::artifact, path, ": no such model file");
  const std::vector<std::uint8_t> file = contents_of(path);
  Opened opened = onnx ? open_onnx(path, file, options) : open_engine(path, file, options);
  Model& model = opened.manifest.model;
  model.runtime = opened.runtime->words();
  if (!options.crops.empty()) model.preprocessing.plan = options.crops;
  return opened;
}

}  // namespace

struct Scorer::Inside {
  Opened opened;
  std::int64_t max_pixels;

  Score score(View image) const {
    const Crops crops = crops_of(image, opened.manifest.model.preprocessing);
    Score score = summary_of(score_crops(crops.rgb.data(), static_cast<std::size_t>(crops.count)));
    require_number(score.value);
    return score;
  }

  // The name stands before what is wrong with the image, as it does where it cannot be decoded.
  Score score(const Image& image, const std::string& name) const {
    try {
      return score(view_of(image));
    } catch (const Error& error) {
      if (error.code() != Code::image) throw;
      fail(Code::image, name, ": ", error.what());
    }
  }

  std::vector<float> score_crops(const std::uint8_t* crops, std::size_t count) const {
    const auto size = static_cast<std::size_t>(opened.manifest.model.preprocessing.size);
    std::vector<float> scores(count);
    for (std::size_t start = 0; start < count; start += most_crops_at_once) {
      opened.runtime->run(crops + start * size * size * 3,
                          std::min(most_crops_at_once, count - start), scores.data() + start);
    }
    return scores;
  }
};

Scorer::Scorer(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Scorer::~Scorer() = default;

Scorer Scorer::open(const std::string& path, const Options& options) {
  return Scorer(std::make_unique<Inside>(Inside{opened_file(path, options), options.max_pixels}));
}

Score Scorer::score(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride) const {
  require_image(rgb, width, height, stride, inside_->max_pixels);
  return inside_->score(View{rgb, width, height, stride});
}

Score Scorer::score_file(const std::string& path) const {
  return inside_->score(decode_file(path, inside_->max_pixels), path);
}

Score Scorer::score_bytes(const void* data, std::size_t length, const std::string& name) const {
  return inside_->score(decode(data, length, name, inside_->max_pixels),
                        name.empty() ? "<" + std::to_string(length) + " bytes>" : name);
}

std::vector<float> Scorer::score_crops(const std::uint8_t* crops, std::size_t count) const {
  return inside_->score_crops(crops, count);
}

const Model& Scorer::model() const noexcept { return inside_->opened.manifest.model; }

Result<Scorer> Scorer::try_open(const std::string& path, const Options& options) noexcept {
  return guarded([&] { return open(path, options); });
}

Result<Score> Scorer::try_score(const std::uint8_t* rgb, int width, int height,
                                std::ptrdiff_t stride) const noexcept {
  return guarded([&] { return score(rgb, width, height, stride); });
}

Result<Score> Scorer::try_score_file(const std::string& path) const noexcept {
  return guarded([&] { return score_file(path); });
}

Result<Score> Scorer::try_score_bytes(const void* data, std::size_t length,
                                      const std::string& name) const noexcept {
  return guarded([&] { return score_bytes(data, length, name); });
}

Result<std::vector<float>> Scorer::try_score_crops(const std::uint8_t* crops,
                                                   std::size_t count) const noexcept {
  return guarded([&] { return score_crops(crops, count); });
}

Crops cut(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride,
          const Preprocessing& preprocessing) {
  require_image(rgb, width, height, stride, max_pixels_default);
  if (preprocessing.size < 1) {
    fail(Code::config, "size is ", preprocessing.size, ": a side of at least 1 pixel is expected");
  }
  return crops_of({rgb, width, height, stride}, preprocessing);
}

bool has_runtime(const std::string& name) noexcept {
  return (name == "onnxruntime" && has_onnxruntime()) || (name == "tensorrt" && has_tensorrt());
}

}  // namespace lifeiqa
