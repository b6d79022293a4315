// Resizing in fixed point, byte for byte what Pillow gives for one axis at a time.
#pragma once

#include <string>

#include "crop_plan.hpp"
#include "picture.hpp"

namespace lifeiqa {

// Throws Error(config) where the kernel is neither bilinear nor bicubic.
void require_kernel(const std::string& resample);

// A picture at a size that differs from its own in one side at least: the horizontal pass first.
Picture resized(View picture, Size size, const std::string& resample);

}  // namespace lifeiqa
