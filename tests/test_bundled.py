"""The bundled models: their files belong together and their figures are what evaluation finds."""

import os
from pathlib import Path

import pytest
from skimage import data as photographs

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.data.distortions import distort
from lifeiqa.data.table import read_table
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.scorer import Scorer
from lifeiqa.weights import DEFAULT, MODELS, bundled, model_file

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LIFEIQA_DATA", ROOT.parent / "shared" / "data"))
SUFFIXES = (".safetensors", ".fp32.onnx")
each = pytest.mark.parametrize("name", MODELS)


def card(name):
    return bundled(name).with_name(f"{name}.md").read_text("utf-8")


@each
def test_the_onnx_form_descends_from_the_checkpoint(name):
    checkpoint = read_manifest(bundled(name, ".safetensors"))
    graph = read_manifest(bundled(name))
    assert graph.parents[0].sha256 == checkpoint.sha256
    assert graph.config == checkpoint.config
    assert graph.preprocessing == checkpoint.preprocessing
    assert graph.preprocessing.crops == "cover"
    assert all(link["max_drift"] <= 1e-5 for link in graph.parity)


def test_the_files_are_small_enough_to_ship():
    sizes = {name: [bundled(name, s).stat().st_size for s in SUFFIXES] for name in MODELS}
    assert all(sum(pair) < 21e6 for pair in sizes.values())
    assert sum(map(sum, sizes.values())) < 45e6


@each
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_files_know_nothing_of_the_machine_that_made_them(name, suffix):
    content = bundled(name, suffix).read_bytes()
    assert b"site-packages" not in content
    assert b'.py"' not in content


@each
def test_a_model_is_opened_by_its_name(name):
    with Scorer(name) as scorer:
        assert scorer.manifest.name == name


def test_the_default_is_a_bundled_model():
    assert DEFAULT in MODELS
    with Scorer() as scorer:
        assert scorer.manifest.name == DEFAULT


def test_the_former_name_is_refused_with_the_new_one():
    with pytest.raises(ConfigError, match="lite0-biq2021: the bundled model 'fast' replaced it"):
        Scorer("lite0-biq2021")


def test_other_names_are_refused_with_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match="slow: neither a file nor a bundled model; bundled are"):
        Scorer("slow")
    with pytest.raises(ArtifactError, match=r"lost\.onnx"):
        Scorer(tmp_path / "lost.onnx")


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast").write_text("mine")
    assert model_file("fast") == Path("fast")


@each
def test_the_model_card_holds_the_figures_of_the_manifest(name):
    chosen = read_manifest(bundled(name)).training["chosen"]
    assert f"{chosen['val_srocc']:.3f}" in card(name)


def test_the_model_card_holds_the_figures_that_evaluation_finds():
    if not (DATA / "biq2021" / "val.csv").is_file():
        pytest.skip(f"BIQ2021 is not in {DATA}; name its folder in LIFEIQA_DATA")
    table = read_table(DATA / "biq2021" / "val.csv", DATA / "biq2021" / "images")
    with Scorer() as scorer:
        found = evaluate(scorer, table, resamples=0).agreement
    assert f"{found.srocc:.4f}" in card(DEFAULT)
    assert f"{found.plcc:.4f}" in card(DEFAULT)


@each
def test_a_worse_image_scores_lower(name):
    """Blur, noise and heavy compression of a photograph each cost it points."""
    with Scorer(name) as scorer:
        for photograph in (photographs.astronaut(), photographs.coffee(), photographs.chelsea()):
            pristine = scorer.score(photograph).value
            for kind, strength in (("gaussian_blur", 4), ("white_noise", 5), ("jpeg", 4)):
                assert scorer.score(distort(photograph, kind, strength)).value < pristine, kind
