"""Untrained checkpoints, and images to calibrate them on, for measurements of speed."""

from helpers import tiny
from lifeiqa.files import sha256_of
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa_benchmarks.distorted import write_distorted
from lifeiqa_benchmarks.untrained import write_untrained
from lifeiqa_export.calibration import calibration_from_folder


def test_an_untrained_checkpoint_says_so_and_is_the_same_every_time(tmp_path):
    paths = [tmp_path / "lite0.safetensors", tmp_path / "again" / "lite0.safetensors"]
    for path in paths:
        write_untrained("lite0", path)
    network, manifest = load_checkpoint(paths[0])

    assert manifest.labels.dataset == "none: untrained"
    assert network.config.backbone == "lite0"
    assert sha256_of(paths[0]) == sha256_of(paths[1])


def test_distorted_photographs_are_enough_to_calibrate_on(tmp_path):
    write_distorted(tmp_path / "photographs")
    manifest = tiny.manifest()
    found = calibration_from_folder(tmp_path / "photographs", manifest.preprocessing, tiny.SIZE)

    assert len(found.names) == 72
    # Corners can be the same black in several; the middles, first of each image's crops, cannot.
    middles = found.crops[:: len(found.crops) // len(found.names)]
    assert len({crop.tobytes() for crop in middles}) == 72
