// The orientation in EXIF or XMP data, found where Pillow finds it.
#pragma once

#include "decode.hpp"

namespace lifeiqa {

// EXIF's orientation, 1 to 8; 1 where there is none or it cannot be read.
//
// exif: a TIFF header and its directories, empty where there is none; xmp: the text of a packet.
int orientation_of(Bytes exif, Bytes xmp);

// An image turned upright.
Image upright(Image image, int orientation);

}  // namespace lifeiqa
