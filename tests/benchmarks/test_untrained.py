"""Untrained checkpoints for measurements of speed."""

from lifeiqa.files import sha256_of
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa_benchmarks.untrained import write_untrained


def test_an_untrained_checkpoint_says_so_and_is_the_same_every_time(tmp_path):
    paths = [tmp_path / "lite0.safetensors", tmp_path / "again" / "lite0.safetensors"]
    for path in paths:
        write_untrained("lite0", path)
    network, manifest = load_checkpoint(paths[0])

    assert manifest.labels.dataset == "none: untrained"
    assert network.config.backbone == "lite0"
    assert sha256_of(paths[0]) == sha256_of(paths[1])
