import io

import numpy as np
import pytest
from PIL import Image

from helpers.painting import painted
from helpers.raster import encoded, orientation
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError, ImageError
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import decode
from lifeiqa.preprocess.pipeline import THUMBNAIL_SIDE, cut

HALF = (0.5, 0.5, 0.5)
FEED = Preprocessing(mean=HALF, std=HALF, short_side=200, crops="five")


def test_a_cut_holds_the_crops_and_the_upright_size(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(painted(300, 500), "JPEG", exif=orientation(6)))

    for source in (path, path.read_bytes(), decode(path)):
        found = cut(source, FEED, 32)
        np.testing.assert_array_equal(found.crops, crops_from_pixels(decode(path), FEED, 32))
        assert (found.width, found.height, found.thumbnail) == (300, 500, None)


@pytest.mark.parametrize(
    ("shape", "short_side", "size"),
    [
        ((300, 500), 200, (128, 76)),
        ((500, 300), None, (76, 128)),
        ((100, 120), 200, (120, 100)),  # not enlarged
        ((40, 9000), None, (128, 1)),
    ],
)
def test_a_thumbnail_is_a_small_webp_of_the_whole_image(shape, short_side, size):
    feed = Preprocessing(mean=HALF, std=HALF, short_side=short_side)
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[:, np.newaxis], (*shape, 3))

    found = cut(encoded(ramp.astype(np.uint8), "PNG"), feed, 32, thumbnail=True)

    with Image.open(io.BytesIO(found.thumbnail)) as small:
        assert (small.format, small.size) == ("WEBP", size)
        assert max(small.size) <= THUMBNAIL_SIDE
        across = np.asarray(small.convert("L")).mean(axis=0)
    np.testing.assert_allclose(across, np.linspace(0, 255, size[0]), atol=12)


def test_an_image_that_cannot_be_cut_is_refused_by_name(tmp_path):
    path = tmp_path / "thread.png"
    path.write_bytes(encoded(painted(1, 9000), "PNG"))
    with pytest.raises(ImageError, match=r"thread\.png: an image of 9000x1 is too thin"):
        cut(path, FEED, 200)


def test_the_limit_of_pixels_is_that_of_decoding():
    with pytest.raises(ImageError, match="40x30 has more than 1,199 pixels"):
        cut(encoded(painted(30, 40), "PNG"), FEED, 32, max_pixels=1199)


def test_a_plan_is_read_before_the_image():
    with pytest.raises(ConfigError, match="crop plan 'six'"):
        cut(b"no image", Preprocessing(mean=HALF, std=HALF, crops="six"), 32)
