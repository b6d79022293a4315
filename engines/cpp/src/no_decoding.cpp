// Replaces decode.cpp, exif.cpp, jpeg.cpp and png.cpp in a build without decoding.
#include "error.hpp"

namespace lifeiqa {
namespace {

[[noreturn]] void refuse() {
  fail(Code::missing,
       "this library was built without decoding; pass pixels, or rebuild it with "
       "-DLIFEIQA_DECODING=ON, libjpeg-turbo and libpng");
}

}  // namespace

Image decode(const void*, std::size_t, const std::string&, std::int64_t) { refuse(); }
Image decode_file(const std::string&, std::int64_t) { refuse(); }
bool has_decoding() noexcept { return false; }

}  // namespace lifeiqa
