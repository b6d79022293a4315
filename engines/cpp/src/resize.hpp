// Resizing in fixed point, byte for byte what Pillow gives for one axis at a time.
#pragma once

#include <string>

#include "crop_plan.hpp"
#include "image.hpp"

namespace lifeiqa {

// Throws Error(config) where the kernel is neither bilinear nor bicubic.
void require_kernel(const std::string& resample);

// An image at a size that differs from its own in one side at least: the horizontal pass first.
Image resized(View image, Size size, const std::string& resample);

}  // namespace lifeiqa
