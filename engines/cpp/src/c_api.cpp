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

// Calls a function. Stores the message of an exception and returns its code.
template <typename Function>
int call_guarded(Function&& function) noexcept {
  try {
    function();
    return LIFEIQA_OK;
  } catch (...) {
    Status status = lifeiqa::current_status();
    last_error = std::move(status.message);
    return static_cast<int>(status.code);
  }
}

std::string string_or_empty(const char* text) { return text != nullptr ? text : ""; }

template <typename Pointer>
Pointer* require_pointer(Pointer* pointer, const char* name) {
  if (pointer == nullptr) lifeiqa::fail(Code::config, name, " is null");
  return pointer;
}

lifeiqa::Options options_from_c(const lifeiqa_options* given) {
  lifeiqa::Options options;
  if (given == nullptr) return options;
  options.crops = string_or_empty(given->crops);
  options.runtime = string_or_empty(given->runtime);
  options.device = string_or_empty(given->device);
  options.threads = given->threads;
  if (given->max_pixels != 0) options.max_pixels = given->max_pixels;
  return options;
}

void copy_score(const lifeiqa::Score& from, lifeiqa_score* score, float* crops) {
  if (score != nullptr) {
    *score = {from.value, from.std, static_cast<std::int32_t>(from.crops.size()),
              from.gaps ? 1 : 0};
  }
  if (crops != nullptr) std::copy(from.crops.begin(), from.crops.end(), crops);
}

// A copy that the caller frees with lifeiqa_free.
std::uint8_t* copy_for_caller(const std::vector<std::uint8_t>& bytes) {
  auto* copy = static_cast<std::uint8_t*>(std::malloc(std::max<std::size_t>(bytes.size(), 1)));
  if (copy == nullptr) throw std::bad_alloc();
  std::copy(bytes.begin(), bytes.end(), copy);
  return copy;
}

}  // namespace

extern "C" {

int lifeiqa_open(const char* path, const lifeiqa_options* options, lifeiqa_scorer** scorer) {
  return call_guarded([&] {
    *require_pointer(scorer, "scorer") = nullptr;
    lifeiqa::Scorer opened =
        lifeiqa::Scorer::open(require_pointer(path, "path"), options_from_c(options));
    const int count = lifeiqa::CropPlan::parse(opened.model().preprocessing.plan).max_count();
    *scorer = new lifeiqa_scorer{std::move(opened), count};
  });
}

void lifeiqa_close(lifeiqa_scorer* scorer) { delete scorer; }

int lifeiqa_describe(const lifeiqa_scorer* scorer, lifeiqa_model* model) {
  return call_guarded([&] {
    const lifeiqa::Model& from = require_pointer(scorer, "scorer")->scorer.model();
    *require_pointer(model, "model") = {from.name.c_str(),
                                        from.sha256.c_str(),
                                        from.precision.c_str(),
                                        from.runtime.c_str(),
                                        from.low,
                                        from.high,
                                        from.higher_is_better ? 1 : 0,
                                        from.preprocessing.size,
                                        scorer->crop_count};
  });
}

int lifeiqa_score_rgb(const lifeiqa_scorer* scorer, const uint8_t* rgb, int32_t width,
                      int32_t height, ptrdiff_t stride, lifeiqa_score* score, float* crops) {
  return call_guarded([&] {
    const lifeiqa::Scorer& opened = require_pointer(scorer, "scorer")->scorer;
    copy_score(opened.score(rgb, width, height, stride), score, crops);
  });
}

int lifeiqa_score_file(const lifeiqa_scorer* scorer, const char* path, lifeiqa_score* score,
                       float* crops) {
  return call_guarded([&] {
    const lifeiqa::Scorer& opened = require_pointer(scorer, "scorer")->scorer;
    copy_score(opened.score_file(require_pointer(path, "path")), score, crops);
  });
}

int lifeiqa_score_bytes(const lifeiqa_scorer* scorer, const void* data, size_t length,
                        const char* name, lifeiqa_score* score, float* crops) {
  return call_guarded([&] {
    const lifeiqa::Scorer& opened = require_pointer(scorer, "scorer")->scorer;
    require_pointer(data, "data");
    copy_score(opened.score_bytes(data, length, string_or_empty(name)), score, crops);
  });
}

int lifeiqa_score_crops(const lifeiqa_scorer* scorer, const uint8_t* crops, size_t count,
                        float* scores) {
  return call_guarded([&] {
    const lifeiqa::Scorer& opened = require_pointer(scorer, "scorer")->scorer;
    require_pointer(crops, "crops");
    require_pointer(scores, "scores");
    const std::vector<float> found = opened.score_crops(crops, count);
    std::copy(found.begin(), found.end(), scores);
  });
}

int lifeiqa_decode(const void* data, size_t length, const char* name, int64_t max_pixels,
                   uint8_t** rgb, int32_t* width, int32_t* height) {
  return call_guarded([&] {
    const std::int64_t limit = max_pixels != 0 ? max_pixels : lifeiqa::max_pixels_default;
    require_pointer(data, "data");
    require_pointer(rgb, "rgb");
    require_pointer(width, "width");
    require_pointer(height, "height");
    const lifeiqa::Image image = lifeiqa::decode(data, length, string_or_empty(name), limit);
    *rgb = copy_for_caller(image.rgb);
    *width = image.width;
    *height = image.height;
  });
}

int lifeiqa_cut(const uint8_t* rgb, int32_t width, int32_t height, ptrdiff_t stride, int32_t size,
                int32_t short_side, const char* resample, const char* plan, uint8_t** crops,
                int32_t* count) {
  return call_guarded([&] {
    lifeiqa::Preprocessing preprocessing;
    preprocessing.size = size;
    if (short_side != 0) preprocessing.short_side = short_side;
    preprocessing.resample = require_pointer(resample, "resample");
    preprocessing.plan = require_pointer(plan, "plan");
    require_pointer(crops, "crops");
    require_pointer(count, "count");
    const lifeiqa::Crops found = lifeiqa::cut(rgb, width, height, stride, preprocessing);
    *crops = copy_for_caller(found.rgb);
    *count = found.count;
  });
}

void lifeiqa_free(void* memory) { std::free(memory); }

const char* lifeiqa_last_error(void) { return last_error.c_str(); }

}  // extern "C"
