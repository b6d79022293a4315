// Resizing in fixed point. The result equals that of Pillow for one axis at a time, byte for byte.
#pragma once

#include <string>

#include "crop_plan.hpp"
#include "image.hpp"

namespace lifeiqa {

// Throws Error(config) if the kernel is neither bilinear nor bicubic.
void require_kernel(const std::string& resample);

// Resizes an image, the horizontal pass first. At least one side must differ from the current size.
Image resized(View image, Size size, const std::string& resample);

}  // namespace lifeiqa
