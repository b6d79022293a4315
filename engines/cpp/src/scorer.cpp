#include <algorithm>
#include <cmath>

#include "crop_plan.hpp"
#include "error.hpp"
#include "model_file.hpp"
#include "resize.hpp"

namespace lifeiqa {
namespace {

constexpr std::size_t max_batch = 32;

// A sum in NumPy's order, since another order may differ in the last bit: eight running sums for up
// to 128 values, and recursive halves for more.
template <typename Value>
double pairwise_sum(std::size_t first, std::size_t count, const Value& value) {
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
  return pairwise_sum(first, half, value) + pairwise_sum(first + half, count - half, value);
}

Score pooled(std::vector<float> crops) {
  const auto count = static_cast<double>(crops.size());
  Score score;
  score.value =
      pairwise_sum(0, crops.size(), [&](std::size_t at) { return double{crops[at]}; }) / count;
  const double squares = pairwise_sum(0, crops.size(), [&](std::size_t at) {
    const double distance = double{crops[at]} - score.value;
    return distance * distance;
  });
  score.std = std::sqrt(squares / count);
  score.crops = std::move(crops);
  return score;
}

void require_finite(double score) {
  if (std::isfinite(score)) return;
  const char* const found = std::isnan(score) ? "nan" : score > 0 ? "inf" : "-inf";
  fail(Code::artifact, "the model returned ", found,
       ". Half precision may have overflowed: try the FP32 model");
}

void require_image(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride,
                   std::int64_t max_pixels) {
  if (rgb == nullptr || width < 1 || height < 1 || stride < std::ptrdiff_t{width} * 3) {
    fail(Code::image, "an image of ", width, "x", height, " with rows ", stride,
         " bytes apart: 8-bit RGB is expected, with rows at least 3 * width bytes apart");
  }
  require_size(width, height, max_pixels);
}

Crops crops_of(View image, const Preprocessing& preprocessing) {
  const CropPlan plan = CropPlan::parse(preprocessing.plan);
  require_kernel(preprocessing.resample);
  const Size size =
      working_size({image.height, image.width}, preprocessing.short_side, preprocessing.size);
  Image scaled;
  if (size.width != image.width || size.height != image.height) {
    scaled = resized(image, size, preprocessing.resample);
    image = view_of(scaled);
  }
  Crops crops;
  const std::vector<Window> windows = plan.windows(size, preprocessing.size);
  crops.count = static_cast<int>(windows.size());
  crops.size = preprocessing.size;
  crops.gaps = plan.leaves_gaps(size, preprocessing.size);
  const std::size_t row = static_cast<std::size_t>(preprocessing.size) * 3;
  crops.rgb.resize(static_cast<std::size_t>(crops.count) *
                   static_cast<std::size_t>(preprocessing.size) * row);
  std::uint8_t* out = crops.rgb.data();
  for (const Window& window : windows) {
    for (int y = 0; y < preprocessing.size; ++y) {
      out = std::copy_n(image.row(window.top + y) + std::ptrdiff_t{window.left} * 3, row, out);
    }
  }
  return crops;
}

}  // namespace

struct Scorer::Impl {
  OpenedModel opened;
  std::int64_t max_pixels;

  Score score(View image) const {
    const Crops crops = crops_of(image, opened.manifest.model.preprocessing);
    Score score = pooled(score_crops(crops.rgb.data(), static_cast<std::size_t>(crops.count)));
    score.gaps = crops.gaps;
    require_finite(score.value);
    return score;
  }

  // Puts the name in front of an image error, as decoding does.
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
    for (std::size_t start = 0; start < count; start += max_batch) {
      opened.runtime->run(crops + start * size * size * 3, std::min(max_batch, count - start),
                          scores.data() + start);
    }
    return scores;
  }
};

Scorer::Scorer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Scorer::~Scorer() = default;

Scorer Scorer::open(const std::string& path, const Options& options) {
  return Scorer(std::make_unique<Impl>(Impl{open_model(path, options), options.max_pixels}));
}

Score Scorer::score(const std::uint8_t* rgb, int width, int height, std::ptrdiff_t stride) const {
  require_image(rgb, width, height, stride, impl_->max_pixels);
  return impl_->score(View{rgb, width, height, stride});
}

Score Scorer::score_file(const std::string& path) const {
  return impl_->score(decode_file(path, impl_->max_pixels), path);
}

Score Scorer::score_bytes(const void* data, std::size_t length, const std::string& name) const {
  return impl_->score(decode(data, length, name, impl_->max_pixels),
                      name.empty() ? "<" + std::to_string(length) + " bytes>" : name);
}

std::vector<float> Scorer::score_crops(const std::uint8_t* crops, std::size_t count) const {
  return impl_->score_crops(crops, count);
}

const Model& Scorer::model() const noexcept { return impl_->opened.manifest.model; }

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
  if (name == "onnxruntime") return has_onnxruntime();
  return !name.empty() && name == built_tensorrt();
}

}  // namespace lifeiqa
