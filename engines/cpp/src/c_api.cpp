#include <algorithm>
#include <cstdlib>

#include "crop_plan.hpp"
#include "error.hpp"
#include "lifeiqa/lifeiqa.h"

struct lifeiqa_scorer {
  lifeiqa::Scorer scorer;
  int crop_count;
};

namespace {

using lifeiqa::Code;
using lifeiqa::Status;

thread_local std::string last_error;

// Runs a function and gives its error as a number.
template <typename Function>
int number_of(Function&& function) noexcept {
  try {
    function();
    return LIFEIQA_OK;
  } catch (...) {
    Status status = lifeiqa::current_status();
    last_error = std::move(status.message);
    return static_cast<int>(status.code);
  }
}

std::string text_of(const char* text) { return text != nullptr ? text : ""; }

template <typename Pointer>
Pointer* required(Pointer* pointer, const char* name) {
  if (pointer == nullptr) lifeiqa::fail(Code::config, name, " is null");
  return pointer;
}

lifeiqa::Options options_of(const lifeiqa_options* given) {
  lifeiqa::Options options;
  if (given == nullptr) return options;
  options.crops = text_of(given->crops);
  options.provider = text_of(given->provider);
  options.threads = given->threads;
  if (given->max_pixels != 0) options.max_pixels = given->max_pixels;
  return options;
}

void give(const lifeiqa::Score& found, lifeiqa_score* score, float* crops) {
  if (score != nullptr) *score = {found.value, found.std};
  if (crops != nullptr) std::copy(found.crops.begin(), found.crops.end(), crops);
}

// A copy that free() gives back, whoever calls it.
std::uint8_t* handed_over(const std::vector<std::uint8_t>& bytes) {
  auto* copy = static_cast<std::uint8_t*>(std::malloc(std::max<std::size_t>(bytes.size(), 1)));
  if (copy == nullptr) throw std::bad_alloc();
  std::copy(bytes.begin(), bytes.end(), copy);
  return copy;
}

}  // namespace

extern "C" {

int lifeiqa_open(const char* path, const lifeiqa_options* options, lifeiqa_scorer** scorer) {
  return number_of([&] {
    *required(scorer, "scorer") = nullptr;
    lifeiqa::Scorer opened = lifeiqa::Scorer::open(required(path, "path"), options_of(options));
    const int count = lifeiqa::CropPlan::parse(opened.model().preprocessing.plan).count();
    *scorer = new lifeiqa_scorer{std::move(opened), count};
  });
}

void lifeiqa_close(lifeiqa_scorer* scorer) { delete scorer; }

int lifeiqa_describe(const lifeiqa_scorer* scorer, lifeiqa_model* model) {
  return number_of([&] {
    const lifeiqa::Model& found = required(scorer, "scorer")->scorer.model();
    *required(model, "model") = {found.name.c_str(),
                                 found.sha256.c_str(),
                                 found.precision.c_str(),
                                 found.runtime.c_str(),
                                 found.low,
                                 found.high,
                                 found.higher_is_better ? 1 : 0,
                                 found.preprocessing.size,
                                 scorer->crop_count};
  });
}

int lifeiqa_score_rgb(const lifeiqa_scorer* scorer, const uint8_t* rgb, int32_t width,
                      int32_t height, ptrdiff_t stride, lifeiqa_score* score, float* crops) {
  return number_of([&] {
    give(required(scorer, "scorer")->scorer.score(rgb, width, height, stride), score, crops);
  });
}

int lifeiqa_score_file(const lifeiqa_scorer* scorer, const char* path, lifeiqa_score* score,
                       float* crops) {
  return number_of([&] {
    give(required(scorer, "scorer")->scorer.score_file(required(path, "path")), score, crops);
  });
}

int lifeiqa_score_bytes(const lifeiqa_scorer* scorer, const void* data, size_t length,
                        const char* name, lifeiqa_score* score, float* crops) {
  return number_of([&] {
    const auto& each = required(scorer, "scorer")->scorer;
    give(each.score_bytes(required(data, "data"), length, text_of(name)), score, crops);
  });
}

int lifeiqa_score_crops(const lifeiqa_scorer* scorer, const uint8_t* crops, size_t count,
                        float* scores) {
  return number_of([&] {
    const auto found =
        required(scorer, "scorer")->scorer.score_crops(required(crops, "crops"), count);
    std::copy(found.begin(), found.end(), required(scores, "scores"));
  });
}

int lifeiqa_decode(const void* data, size_t length, const char* name, int64_t max_pixels,
                   uint8_t** rgb, int32_t* width, int32_t* height) {
  return number_of([&] {
    const std::int64_t limit = max_pixels != 0 ? max_pixels : lifeiqa::max_pixels_default;
    const lifeiqa::Image image =
        lifeiqa::decode(required(data, "data"), length, text_of(name), limit);
    *required(width, "width") = image.width;
    *required(height, "height") = image.height;
    *required(rgb, "rgb") = handed_over(image.rgb);
  });
}

int lifeiqa_cut(const uint8_t* rgb, int32_t width, int32_t height, ptrdiff_t stride, int32_t size,
                int32_t short_side, const char* resample, const char* plan, uint8_t** crops,
                int32_t* count) {
  return number_of([&] {
    lifeiqa::Preprocessing feed;
    feed.size = size;
    if (short_side != 0) feed.short_side = short_side;
    feed.resample = required(resample, "resample");
    feed.plan = required(plan, "plan");
    const lifeiqa::Crops found = lifeiqa::cut(rgb, width, height, stride, feed);
    *required(count, "count") = found.count;
    *required(crops, "crops") = handed_over(found.rgb);
  });
}

void lifeiqa_free(void* memory) { std::free(memory); }

const char* lifeiqa_last_error(void) { return last_error.c_str(); }

}  // extern "C"
