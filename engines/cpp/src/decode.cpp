#include "decode.hpp"

#include <cstring>

#include "error.hpp"
#include "exif.hpp"
#include "file.hpp"

namespace lifeiqa {
namespace {

constexpr auto formats = "JPEG, PNG";

Image decode_named(const std::string& name, Bytes file, std::int64_t max_pixels) {
  try {
    Decoded decoded;
    if (file.starts_with("\xff\xd8\xff", 3)) {
      decoded = decode_jpeg(file, max_pixels);
    } else if (file.starts_with("\x89PNG\r\n\x1a\n", 8)) {
      decoded = decode_png(file, max_pixels);
    } else {
      fail(Code::image, "not an image in a supported format (", formats, ")");
    }
    return oriented(std::move(decoded.image), decoded.orientation);
  } catch (const Error& error) {
    fail(error.code(), name, ": ", error.what());
  }
}

}  // namespace

bool Bytes::starts_with(const char* magic, std::size_t size) const noexcept {
  return length >= size && std::memcmp(data, magic, size) == 0;
}

Bytes Bytes::from(std::size_t start) const noexcept {
  return start < length ? Bytes{data + start, length - start} : Bytes{};
}

Image decode(const void* data, std::size_t length, const std::string& name,
             std::int64_t max_pixels) {
  const std::string shown = name.empty() ? "<" + std::to_string(length) + " bytes>" : name;
  return decode_named(shown, {static_cast<const std::uint8_t*>(data), length}, max_pixels);
}

Image decode_file(const std::string& path, std::int64_t max_pixels) {
  const std::vector<std::uint8_t> file = read_file(path, Code::image);
  return decode_named(path, {file.data(), file.size()}, max_pixels);
}

bool has_decoding() noexcept { return true; }

}  // namespace lifeiqa
