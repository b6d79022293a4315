// Where crops are taken from an image at its working scale; the twin of
// lifeiqa/preprocess/crops.py.
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
  // Throws Error(config) where the text is no plan, or asks for no crop or for more than 1,024.
  static CropPlan parse(const std::string& text);

  int count() const noexcept;

  // The windows of side `size` in an image at least that large.
  std::vector<Window> windows(Size image, int size) const;

 private:
  enum class Kind { center, five, grid, random };

  Kind kind_ = Kind::center;
  std::uint64_t number_ = 1;
  std::uint64_t seed_ = 0;
};

// The size at which crops of side `size` are taken. Throws Error(config) where the working scale is
// below the crop, Error(image) where a thin image would be enlarged beyond every limit.
Size working_size(Size image, const std::optional<int>& short_side, int size);

}  // namespace lifeiqa
