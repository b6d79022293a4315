// Images in memory.
#pragma once

#include "error.hpp"

namespace lifeiqa {

// An image whose memory the caller owns: rows of width * 3 bytes that start `stride` bytes apart.
struct View {
  const std::uint8_t* rgb = nullptr;
  int width = 0;
  int height = 0;
  std::ptrdiff_t stride = 0;

  const std::uint8_t* row(int y) const noexcept { return rgb + y * stride; }
};

inline View view_of(const Image& image) noexcept {
  return {image.rgb.data(), image.width, image.height, std::ptrdiff_t{image.width} * 3};
}

inline Image empty_image(int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  image.rgb.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  return image;
}

// Throws Error(image) if an image is larger than the limit. Call it before allocating the image.
inline void require_size(std::int64_t width, std::int64_t height, std::int64_t max_pixels) {
  if (width * height > max_pixels) {
    fail(Code::image, width, "x", height, " has more than ", with_commas(max_pixels),
         " pixels; reduce the image or raise max_pixels");
  }
}

}  // namespace lifeiqa
