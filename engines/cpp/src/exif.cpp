#include "exif.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "image.hpp"

namespace lifeiqa {
namespace {

constexpr unsigned orientation_tag = 0x0112;

// Reads the numbers of a TIFF file in its byte order.
class TiffReader {
 public:
  TiffReader(Bytes data, bool big_endian) : data_(data), big_endian_(big_endian) {}

  bool has(std::size_t at, std::size_t size) const {
    return at <= data_.length && size <= data_.length - at;
  }

  // Requires has(start, size).
  std::uint32_t at(std::size_t start, std::size_t size) const {
    std::uint32_t value = 0;
    for (std::size_t each = 0; each < size; ++each) {
      value = value << 8 | data_.data[start + (big_endian_ ? each : size - 1 - each)];
    }
    return value;
  }

 private:
  Bytes data_;
  bool big_endian_;
};

// Bytes of an integer type of TIFF; 0 for any other type.
std::size_t integer_size(std::uint32_t type) {
  switch (type) {
    case 3:  // SHORT
    case 8:  // SSHORT
      return 2;
    case 4:  // LONG
    case 9:  // SLONG
      return 4;
    default:
      return 0;
  }
}

// The orientation in the first directory; 0 if it has none.
std::uint32_t orientation_in_directory(Bytes exif) {
  const bool big_endian = exif.starts_with("MM", 2);
  const TiffReader numbers(exif, big_endian);
  if (exif.length < 8) return 0;
  std::size_t at = numbers.at(4, 4);
  if (!numbers.has(at, 2)) return 0;
  const std::uint32_t entries = numbers.at(at, 2);
  at += 2;
  std::uint32_t found = 0;
  for (std::uint32_t entry = 0; entry < entries && numbers.has(at, 12); ++entry, at += 12) {
    const std::size_t size = integer_size(numbers.at(at + 2, 2));
    const std::uint64_t count = numbers.at(at + 4, 4);
    if (numbers.at(at, 2) != orientation_tag || size == 0 || count == 0) continue;
    const std::size_t value = count * size <= 4 ? at + 8 : numbers.at(at + 8, 4);
    if (numbers.has(value, count * size)) found = numbers.at(value, size);
  }
  return found;
}

// The digit in tiff:Orientation="6" or <tiff:Orientation>6; 0 if there is none.
std::uint32_t orientation_in_xmp(Bytes xmp) {
  const std::string_view text(reinterpret_cast<const char*>(xmp.data), xmp.length);
  constexpr std::string_view name = "tiff:Orientation";
  for (std::size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    std::string_view rest = text.substr(at + name.size());
    if (rest.substr(0, 2) == "=\"") {
      rest.remove_prefix(2);
    } else if (rest.substr(0, 1) == ">") {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
      return static_cast<std::uint32_t>(rest[0] - '0');
    }
  }
  return 0;
}

bool is_tiff(Bytes exif) {
  return exif.starts_with("II\x2a\0", 4) || exif.starts_with("MM\0\x2a", 4) ||
         exif.starts_with("MM\x2a\0", 4) || exif.starts_with("II\0\x2a", 4);
}

}  // namespace

int orientation_of(Bytes exif, Bytes xmp) {
  std::uint32_t found = 0;
  if (exif.length > 0) {
    if (!is_tiff(exif)) return 1;
    found = orientation_in_directory(exif);
  }
  if (found == 0) found = orientation_in_xmp(xmp);
  return found >= 1 && found <= 8 ? static_cast<int>(found) : 1;
}

Image oriented(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool transposed = orientation >= 5;
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image turned =
      transposed ? empty_image(image.height, image.width) : empty_image(image.width, image.height);
  std::uint8_t* out = turned.rgb.data();
  for (int y = 0; y < turned.height; ++y) {
    for (int x = 0; x < turned.width; ++x) {
      // Source of this pixel, before flipping.
      int from_x = transposed ? y : x, from_y = transposed ? x : y;
      if (flip_x) from_x = image.width - 1 - from_x;
      if (flip_y) from_y = image.height - 1 - from_y;
      const std::size_t at =
          (static_cast<std::size_t>(from_y) * static_cast<std::size_t>(image.width) +
           static_cast<std::size_t>(from_x)) *
          3;
      out = std::copy_n(image.rgb.data() + at, 3, out);
    }
  }
  return turned;
}

}  // namespace lifeiqa
