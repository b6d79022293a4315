// The orientation in EXIF or XMP data. Finds it in the same places as Pillow.
#pragma once

#include "decode.hpp"

namespace lifeiqa {

// The EXIF orientation, 1 to 8; 1 if it is missing or unreadable.
//
// exif: a TIFF header and its directories, may be empty; xmp: the text of a packet, may be empty.
int orientation_of(Bytes exif, Bytes xmp);

// Applies an orientation, so that the image is upright.
Image oriented(Image image, int orientation);

}  // namespace lifeiqa
