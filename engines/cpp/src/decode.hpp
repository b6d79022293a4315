// Decodes an image file to RGB as docs/reference/preprocessing.md specifies. Mirrors
// lifeiqa/preprocess/decode.py.
#pragma once

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// The bytes of a file. The caller owns them.
struct Bytes {
  const std::uint8_t* data = nullptr;
  std::size_t length = 0;

  bool starts_with(const char* magic, std::size_t size) const noexcept;
  Bytes from(std::size_t start) const noexcept;  // empty past the end
};

// The result of a decoder: the image as stored, and the orientation to apply.
struct Decoded {
  Image image;
  int orientation = 1;  // EXIF orientation; 1 is upright
};

// Both throw Error(image) without the name of the file. decode() puts the name in front.
Decoded decode_jpeg(Bytes file, std::int64_t max_pixels);
Decoded decode_png(Bytes file, std::int64_t max_pixels);

}  // namespace lifeiqa
