// Decodes PNG with libpng, which only unpacks the samples. The conversion to RGB is that of
// lifeiqa/preprocess/decode.py: 16-bit samples keep their high byte, and transparency is composited
// on white.
#include <png.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "decode.hpp"
#include "error.hpp"
#include "exif.hpp"
#include "image.hpp"

namespace lifeiqa {
namespace {

constexpr int opaque = 255;

std::uint8_t composited_on_white(int sample, int alpha) {
  return static_cast<std::uint8_t>((sample * alpha + 255 * (255 - alpha) + 127) / 255);
}

// libpng reports an error with longjmp, which skips destructors. So everything that owns memory is
// a member of this object, and no local variable of the steps does.
class PngFile {
 public:
  explicit PngFile(Bytes file) : file_(file) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp message) {
          auto* self = static_cast<PngFile*>(png_get_error_ptr(png));
          std::strncpy(self->message_, message, sizeof self->message_ - 1);
          std::longjmp(self->jump_, 1);
        },
        [](png_structp, png_const_charp) {});
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;
  ~PngFile() { png_destroy_read_struct(&png_, &info_, nullptr); }

  Decoded decode(std::int64_t max_pixels) {
    run(&PngFile::read_header);
    require_size(width_, height_, max_pixels);
    run(&PngFile::prepare_rows);
    Decoded decoded;
    decoded.image = empty_image(static_cast<int>(width_), static_cast<int>(height_));
    const bool is_rgb = colour_ == PNG_COLOR_TYPE_RGB && bits_ == 8 && !has_key_;
    if (!is_rgb) rows_.resize(row_bytes_ * height_);
    std::uint8_t* const first = is_rgb ? decoded.image.rgb.data() : rows_.data();
    row_starts_.resize(height_);
    for (std::size_t y = 0; y < height_; ++y) row_starts_[y] = first + y * row_bytes_;
    run(&PngFile::read_rows);
    if (!is_rgb) convert(decoded.image.rgb.data());
    // Chunks after the pixels may hold EXIF data. Damage there does not affect the pixels.
    attempt(&PngFile::read_end);
    decoded.orientation = orientation();
    return decoded;
  }

 private:
  // Runs a step that libpng may leave with longjmp. Returns whether the step finished.
  bool attempt(void (PngFile::*step)()) {
    if (setjmp(jump_) != 0) return false;
    (this->*step)();
    return true;
  }

  void run(void (PngFile::*step)()) {
    if (!attempt(step)) fail(Code::image, ended_ ? "image file is truncated" : message_);
  }

  void read_header() {
    png_set_read_fn(png_, this, [](png_structp png, png_bytep out, std::size_t count) {
      auto* self = static_cast<PngFile*>(png_get_io_ptr(png));
      if (count > self->file_.length - self->at_) {
        self->ended_ = true;
        png_error(png, "image file is truncated");
      }
      std::memcpy(out, self->file_.data + self->at_, count);
      self->at_ += count;
    });
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // require_size checks max_pixels instead
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
    png_set_packing(png_);  // unpacks samples of 1, 2 or 4 bits to a byte each
    png_read_info(png_, info_);
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    bits_ = png_get_bit_depth(png_, info_);
    colour_ = png_get_color_type(png_, info_);
  }

  // libpng allocates memory for whole rows here: the size must have been checked before.
  void prepare_rows() {
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    row_bytes_ = png_get_rowbytes(png_, info_);
    png_color* palette = nullptr;
    int entries = 0;
    for (std::size_t each = 0; each < palette_.size(); ++each) {
      const auto grey = static_cast<png_byte>(each);  // as Pillow fills entries that the file lacks
      palette_[each] = {grey, grey, grey};
    }
    if (png_get_PLTE(png_, info_, &palette, &entries) != 0) {
      std::copy_n(palette, std::min<std::size_t>(static_cast<std::size_t>(entries), 256),
                  palette_.begin());
    }
    alphas_.fill(opaque);
    png_byte* alphas = nullptr;
    png_color_16* key = nullptr;
    if (png_get_tRNS(png_, info_, &alphas, &entries, &key) != 0) {
      has_key_ = key != nullptr && (colour_ & PNG_COLOR_MASK_PALETTE) == 0;
      if (has_key_) key_ = *key;
      if (alphas != nullptr && colour_ == PNG_COLOR_TYPE_PALETTE) {
        std::copy_n(alphas, std::min<std::size_t>(static_cast<std::size_t>(entries), 256),
                    alphas_.begin());
      }
    }
  }

  void read_rows() { png_read_image(png_, row_starts_.data()); }

  void read_end() { png_read_end(png_, info_); }

  void convert(std::uint8_t* out) const {
    const int channels = colour_ == PNG_COLOR_TYPE_PALETTE ? 1 : samples();
    const int step = bits_ == 16 ? 2 : 1;
    for (std::size_t y = 0; y < height_; ++y) {
      const std::uint8_t* in = rows_.data() + y * row_bytes_;
      for (std::size_t x = 0; x < width_; ++x, in += channels * step, out += 3) {
        const int alpha = alpha_of(in, step);
        for (int colour = 0; colour < 3; ++colour) {
          out[colour] = composited_on_white(sample_of(in, colour, step), alpha);
        }
      }
    }
  }

  int samples() const {
    return ((colour_ & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1) +
           ((colour_ & PNG_COLOR_MASK_ALPHA) != 0 ? 1 : 0);
  }

  int sample_of(const std::uint8_t* in, int colour, int step) const {
    if (colour_ == PNG_COLOR_TYPE_PALETTE) {
      const png_color& entry = palette_[in[0]];
      return colour == 0 ? entry.red : colour == 1 ? entry.green : entry.blue;
    }
    if ((colour_ & PNG_COLOR_MASK_COLOR) != 0) return in[colour * step];
    return bits_ < 8 ? in[0] * 255 / ((1 << bits_) - 1) : in[0];
  }

  int alpha_of(const std::uint8_t* in, int step) const {
    if (colour_ == PNG_COLOR_TYPE_PALETTE) return alphas_[in[0]];
    if ((colour_ & PNG_COLOR_MASK_ALPHA) != 0) return in[(samples() - 1) * step];
    if (!has_key_) return opaque;
    if (bits_ == 16 && colour_ == PNG_COLOR_TYPE_GRAY) {
      return (in[0] << 8 | in[1]) == key_.gray ? 0 : opaque;
    }
    // Like Pillow, compares the 8 bits of a sample with the low 8 bits of the key.
    const bool grey = colour_ == PNG_COLOR_TYPE_GRAY;
    const std::array<int, 3> key = {grey ? key_.gray : key_.red, grey ? key_.gray : key_.green,
                                    grey ? key_.gray : key_.blue};
    for (int colour = 0; colour < 3; ++colour) {
      if (sample_of(in, colour, step) != (key[static_cast<std::size_t>(colour)] & 255))
        return opaque;
    }
    return 0;
  }

  int orientation() const {
    png_byte* exif = nullptr;
    png_uint_32 length = 0;
    std::vector<std::uint8_t> raw;
    Bytes xmp;
    if (png_get_eXIf_1(png_, info_, &length, &exif) == 0) length = 0;
    png_text* texts = nullptr;
    int count = 0;
    png_get_text(png_, info_, &texts, &count);
    for (int each = 0; each < count; ++each) {
      const png_text& text = texts[each];
      const std::size_t size = text.itxt_length != 0 ? text.itxt_length : text.text_length;
      const Bytes bytes{reinterpret_cast<const std::uint8_t*>(text.text), size};
      if (std::strcmp(text.key, "XML:com.adobe.xmp") == 0) xmp = bytes;
      if (std::strcmp(text.key, "Raw profile type exif") == 0) raw = from_hexadecimal(bytes);
    }
    if (length == 0 && !raw.empty()) return orientation_of({raw.data(), raw.size()}, xmp);
    return orientation_of({exif, length}, xmp);
  }

  // EXIF data as ImageMagick stores it: three header lines, then hexadecimal digits.
  static std::vector<std::uint8_t> from_hexadecimal(Bytes text) {
    std::vector<std::uint8_t> bytes;
    int lines = 0, digits = 0, value = 0;
    for (std::size_t at = 0; at < text.length; ++at) {
      const char each = static_cast<char>(text.data[at]);
      if (each == '\n') {
        ++lines;
      } else if (lines >= 3 && std::isxdigit(static_cast<unsigned char>(each)) != 0) {
        const char digit[] = {each, 0};
        value = value << 4 | static_cast<int>(std::strtol(digit, nullptr, 16));
        if (++digits % 2 == 0) bytes.push_back(static_cast<std::uint8_t>(value & 255));
      }
    }
    constexpr std::array<std::uint8_t, 6> header = {'E', 'x', 'i', 'f', 0, 0};
    if (bytes.size() >= header.size() && std::equal(header.begin(), header.end(), bytes.begin())) {
      bytes.erase(bytes.begin(), bytes.begin() + header.size());
    }
    return bytes;
  }

  Bytes file_;
  std::size_t at_ = 0;
  bool ended_ = false;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_;
  char message_[256] = "";
  std::size_t width_ = 0, height_ = 0, row_bytes_ = 0;
  int bits_ = 0, colour_ = 0;
  std::array<png_color, 256> palette_{};
  std::array<std::uint8_t, 256> alphas_{};
  bool has_key_ = false;
  png_color_16 key_{};
  std::vector<std::uint8_t> rows_;
  std::vector<png_bytep> row_starts_;
};

}  // namespace

Decoded decode_png(Bytes file, std::int64_t max_pixels) { return PngFile(file).decode(max_pixels); }

}  // namespace lifeiqa
