// From the bytes of a file to RGB, by the policy of README.md, which is that of
// lifeiqa/preprocess/decode.py.
#pragma once

#include "lifeiqa/lifeiqa.hpp"

namespace lifeiqa {

// The bytes of a file, which somebody else owns.
struct Bytes {
  const std::uint8_t* data = nullptr;
  std::size_t length = 0;

  bool starts_with(const char* magic, std::size_t size) const noexcept;
  Bytes from(std::size_t start) const noexcept;  // empty where there is no more
};

// What the decoder of one format gives: the image as it is stored, and how it is to be turned.
struct Decoded {
  Image image;
  int orientation = 1;  // EXIF's number; 1 is upright
};

// Each throws Error(image) without the name of the file, which decode() puts before it.
Decoded decoded_jpeg(Bytes file, std::int64_t max_pixels);
Decoded decoded_png(Bytes file, std::int64_t max_pixels);

}  // namespace lifeiqa
