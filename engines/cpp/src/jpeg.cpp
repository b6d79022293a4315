// Decodes JPEG with libjpeg-turbo. The accurate DCT and smooth chroma upsampling are its defaults,
// and those of Pillow.
#include <algorithm>
#include <csetjmp>
#include <cstring>
// clang-format off
#include <cstdio>     // jpeglib.h needs it, but does not include it
#include <jpeglib.h>
// clang-format on

#include "decode.hpp"
#include "error.hpp"
#include "exif.hpp"
#include "image.hpp"

namespace lifeiqa {
namespace {

constexpr char exif_header[] = "Exif\0";                       // ends with two zero bytes
constexpr char xmp_header[] = "http://ns.adobe.com/xap/1.0/";  // ends with one zero byte
// Encoders write up to about 20 scans. Each scan may take as long as a whole image.
constexpr int max_scans = 100;

// libjpeg reports an error with longjmp, which skips destructors. So everything that owns memory is
// a member of this object, and no local variable of the steps does.
class JpegFile {
 public:
  explicit JpegFile(Bytes file) : file_(file) {
    state_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) {
      auto* self = static_cast<JpegFile*>(info->client_data);
      info->err->format_message(info, self->message_);
      std::longjmp(self->jump_, 1);
    };
    // Warnings are ignored, as in Pillow.
    errors_.emit_message = [](j_common_ptr, int) {};
    progress_.progress_monitor = [](j_common_ptr info) {
      auto* self = static_cast<JpegFile*>(info->client_data);
      if (self->state_.input_scan_number <= max_scans) return;
      self->too_many_scans_ = true;
      std::longjmp(self->jump_, 1);
    };
    state_.client_data = this;
  }
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;
  ~JpegFile() { jpeg_destroy_decompress(&state_); }

  Decoded decode(std::int64_t max_pixels) {
    run(&JpegFile::read_header);
    require_size(state_.image_width, state_.image_height, max_pixels);
    if (state_.num_components == 2 || state_.num_components > 4) {
      fail(Code::image, "cannot handle ", state_.num_components, "-layer images");
    }
    run(&JpegFile::start);
    Decoded decoded;
    decoded.image =
        empty_image(static_cast<int>(state_.output_width), static_cast<int>(state_.output_height));
    row_.resize(static_cast<std::size_t>(state_.output_width) *
                static_cast<std::size_t>(state_.output_components));
    out_ = decoded.image.rgb.data();
    decoded.orientation = orientation();  // before the last row, when libjpeg frees the markers
    run(&JpegFile::read_rows);
    return decoded;
  }

 private:
  // Runs a step that libjpeg may leave with longjmp.
  void run(bool (JpegFile::*step)()) {
    if (setjmp(jump_) != 0) {
      if (too_many_scans_) fail(Code::image, "more than ", max_scans, " scans; save it again");
      fail(Code::image, "broken data stream when reading image file: ", message_);
    }
    if (!(this->*step)()) fail(Code::image, "image file is truncated");
  }

  bool read_header() {
    jpeg_create_decompress(&state_);
    state_.progress = &progress_;
    source_.next_input_byte = file_.data;
    source_.bytes_in_buffer = file_.length;
    source_.init_source = [](j_decompress_ptr) {};
    // There is no more data. libjpeg then suspends, and the step reports that it is not done.
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      const auto step = std::min(static_cast<std::size_t>(count), info->src->bytes_in_buffer);
      info->src->next_input_byte += step;
      info->src->bytes_in_buffer -= step;
    };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = [](j_decompress_ptr) {};
    state_.src = &source_;
    jpeg_save_markers(&state_, JPEG_APP0 + 1, 0xFFFF);
    return jpeg_read_header(&state_, TRUE) == JPEG_HEADER_OK;
  }

  bool start() { return jpeg_start_decompress(&state_) == TRUE; }

  bool read_rows() {
    const bool is_rgb = state_.output_components == 3;
    while (state_.output_scanline < state_.output_height) {
      JSAMPROW row = is_rgb ? out_ : row_.data();
      if (jpeg_read_scanlines(&state_, &row, 1) != 1) return false;
      if (!is_rgb) convert_row();
      out_ += std::size_t{state_.output_width} * 3;
    }
    return jpeg_finish_decompress(&state_) == TRUE;
  }

  // From grey, or from CMYK that Adobe stores inverted, to RGB, with Pillow's rounding.
  void convert_row() {
    const std::uint8_t* in = row_.data();
    std::uint8_t* out = out_;
    const int samples = state_.output_components;
    for (JDIMENSION x = 0; x < state_.output_width; ++x, in += samples, out += 3) {
      for (int colour = 0; colour < 3; ++colour) {
        out[colour] = samples == 4 ? from_cmyk(255 - in[colour], 255 - in[3]) : in[0];
      }
    }
  }

  static std::uint8_t from_cmyk(int ink, int black) {
    const int light = 255 - black, product = ink * light + 128;
    return static_cast<std::uint8_t>(light - ((product + (product >> 8)) >> 8));
  }

  int orientation() const {
    std::vector<std::uint8_t> exif;  // a large block spans several markers
    Bytes xmp;
    for (jpeg_saved_marker_ptr each = state_.marker_list; each != nullptr; each = each->next) {
      const Bytes marker{each->data, each->data_length};
      if (marker.starts_with(exif_header, sizeof exif_header)) {
        exif.insert(exif.end(), marker.data + sizeof exif_header, marker.data + marker.length);
      } else if (marker.starts_with(xmp_header, sizeof xmp_header)) {
        xmp = marker.from(sizeof xmp_header);
      }
    }
    return orientation_of({exif.data(), exif.size()}, xmp);
  }

  Bytes file_;
  jpeg_decompress_struct state_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  bool too_many_scans_ = false;
  std::jmp_buf jump_;
  char message_[JMSG_LENGTH_MAX] = "";
  std::vector<std::uint8_t> row_;
  std::uint8_t* out_ = nullptr;
};

}  // namespace

Decoded decode_jpeg(Bytes file, std::int64_t max_pixels) {
  return JpegFile(file).decode(max_pixels);
}

}  // namespace lifeiqa
