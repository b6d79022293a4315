// Pictures in memory.
#pragma once

#include "error.hpp"

namespace lifeiqa {

// A picture that somebody else owns: rows of width * 3 bytes, `stride` bytes apart.
struct View {
  const std::uint8_t* rgb = nullptr;
  int width = 0;
  int height = 0;
  std::ptrdiff_t stride = 0;

  const std::uint8_t* row(int y) const noexcept { return rgb + y * stride; }
};

inline View view_of(const Picture& picture) noexcept {
  return {picture.rgb.data(), picture.width, picture.height, std::ptrdiff_t{picture.width} * 3};
}

inline Picture empty_picture(int width, int height) {
  Picture picture;
  picture.width = width;
  picture.height = height;
  picture.rgb.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  return picture;
}

// Throws Error(image) where a picture is larger than the limit; asked before memory is taken.
inline void require_size(std::int64_t width, std::int64_t height, std::int64_t max_pixels) {
  if (width * height > max_pixels) {
    fail(Code::image, width, "x", height, " has more than ", with_commas(max_pixels),
         " pixels; reduce the picture or raise max_pixels");
  }
}

}  // namespace lifeiqa
