"""Images in folders, and the crops that parity is measured on."""

import numpy as np
import pytest

from helpers.raster import encoded, pattern
from lifeiqa.config import Preprocessing
from lifeiqa.data.distortions import distort
from lifeiqa.data.images import PARITY_DISTORTIONS, images_in, parity_crops
from lifeiqa.errors import DatasetError, ImageError
from lifeiqa.preprocess.crops import crops_from_pixels, with_plan
from lifeiqa.preprocess.decode import SUFFIXES

HALF = (0.5, 0.5, 0.5)
FIVE = Preprocessing(mean=HALF, std=HALF, short_side=40, crops="five")


@pytest.fixture
def photographs(tmp_path):
    """Two images that `images_in` finds, upright and flat."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, shape in zip(paths, [(50, 60), (90, 40)], strict=True):
        path.write_bytes(encoded(pattern(*shape), "PNG"))
    return paths


def test_images_are_found_by_their_ending_and_sorted(tmp_path):
    names = ["b/z.JPG", "a.png", "b/c/d.Webp", "notes.txt", "b/a.tif", "png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in images_in(tmp_path)]
    assert found == ["a.png", "b/a.tif", "b/c/d.Webp", "b/z.JPG"]
    assert images_in(tmp_path, recursive=False) == [tmp_path / "a.png"]


def test_every_known_ending_is_found(tmp_path):
    for suffix in SUFFIXES:
        (tmp_path / f"image{suffix}").touch()
    assert {path.suffix for path in images_in(tmp_path)} == SUFFIXES


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize("folder", ["", "absent"])
def test_a_folder_without_images_is_refused_by_name(folder, recursive, tmp_path):
    with pytest.raises(DatasetError) as refused:
        images_in(tmp_path / folder, recursive=recursive)
    assert str(tmp_path / folder) in str(refused.value)


def test_parity_takes_the_middle_crop_of_each_image(photographs):
    crops = parity_crops(photographs, FIVE, 32, distort=False)
    assert (crops.dtype, crops.shape) == (np.uint8, (2, 32, 32, 3))
    middles = with_plan(FIVE, "center")
    expected = [crops_from_pixels(pattern(50, 60), middles, 32)]
    expected += [crops_from_pixels(pattern(90, 40), middles, 32)]
    np.testing.assert_array_equal(crops, np.concatenate(expected))


def test_parity_distorts_the_crop_of_each_image_in_turn(photographs):
    crops = parity_crops(photographs, FIVE, 32, distort=True)
    pristine = parity_crops(photographs, FIVE, 32, distort=False)
    expected = [distort(crop, *form) for crop in pristine for form in PARITY_DISTORTIONS]
    np.testing.assert_array_equal(crops, np.stack(expected))
    np.testing.assert_array_equal(crops[:: len(PARITY_DISTORTIONS)], pristine)
    np.testing.assert_array_equal(crops, parity_crops(photographs, FIVE, 32, distort=True))


def test_a_damaged_image_is_refused_by_name(photographs):
    photographs[1].write_bytes(photographs[1].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"b\.png"):
        parity_crops(photographs, FIVE, 32, distort=False)
