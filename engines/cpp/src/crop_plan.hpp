// Where crops are taken from an image at its working size. Mirrors lifeiqa/preprocess/crops.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

struct Size {
  int height = 0;
  int width = 0;
};

struct Window {
  int top = 0;
  int left = 0;
};

class CropPlan {
 public:
  // Throws Error(config) if the text is not a plan, or asks for fewer than 1 or more than 1,024
  // crops.
  static CropPlan parse(const std::string& text);

  // Most crops of one image; only "cover" gives some images fewer.
  int max_count() const noexcept;

  // Whether "cover" would take more windows than its limit, so that the crops leave gaps.
  bool leaves_gaps(Size image, int size) const noexcept;

  // The windows of side `size`, in an image whose sides are at least `size`.
  std::vector<Window> windows(Size image, int size) const;

 private:
  enum class Kind { center, cover, five, grid, random };

  Kind kind_ = Kind::center;
  std::uint64_t number_ = 1;
  std::uint64_t seed_ = 0;
};

// The size to which an image is resized before crops of side `size` are taken. Throws Error(config)
// if short_side is smaller than the crop, and Error(image) if a thin image would become too large.
Size working_size(Size image, const std::optional<int>& short_side, int size);

}  // namespace lifeiqa
