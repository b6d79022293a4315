"""The bundled model: its files belong together and its figures are what evaluation finds."""

import os
from pathlib import Path

import pytest
from skimage import data as photographs

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.data.distortions import distort
from lifeiqa.data.table import read_table
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.scorer import Scorer
from lifeiqa.weights import bundled

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LIFEIQA_DATA", ROOT.parent / "shared" / "data"))
CARD = bundled().with_name("MODEL_CARD.md").read_text()


def test_the_onnx_form_descends_from_the_checkpoint():
    checkpoint = read_manifest(bundled(suffix=".safetensors"))
    graph = read_manifest(bundled())
    assert graph.parents[0].sha256 == checkpoint.sha256
    assert graph.config == checkpoint.config
    assert graph.preprocessing == checkpoint.preprocessing
    assert all(link["max_drift"] <= 1e-5 for link in graph.parity)


def test_the_pair_is_small_enough_to_ship():
    assert sum(bundled(suffix=s).stat().st_size for s in (".safetensors", ".fp32.onnx")) < 21e6


@pytest.mark.parametrize("suffix", [".safetensors", ".fp32.onnx"])
def test_the_files_know_nothing_of_the_machine_that_made_them(suffix):
    content = bundled(suffix=suffix).read_bytes()
    assert b"site-packages" not in content
    assert b'.py"' not in content


def test_the_model_card_holds_the_figures_of_the_manifest():
    chosen = read_manifest(bundled()).training["chosen"]
    for name in ("val_srocc", "val_plcc"):
        assert f"{chosen[name]:.4f}" in CARD


def test_the_model_card_holds_the_figures_that_evaluation_finds():
    if not (DATA / "biq2021" / "val.csv").is_file():
        pytest.skip(f"BIQ2021 is not in {DATA}; name its folder in LIFEIQA_DATA")
    table = read_table(DATA / "biq2021" / "val.csv", DATA / "biq2021" / "images")
    with Scorer() as scorer:
        found = evaluate(scorer, table, resamples=0).agreement
    assert f"{found.srocc:.4f}" in CARD
    assert f"{found.plcc:.4f}" in CARD


def test_a_worse_image_scores_lower():
    """Blur, noise and heavy compression of a photograph each cost it points."""
    with Scorer() as scorer:
        for photograph in (photographs.astronaut(), photographs.coffee(), photographs.chelsea()):
            pristine = scorer.score(photograph).value
            for kind, strength in (("gaussian_blur", 4), ("white_noise", 5), ("jpeg", 4)):
                assert scorer.score(distort(photograph, kind, strength)).value < pristine, kind
