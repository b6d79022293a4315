"""The figures of the model card: where they are written, and that they are the ones measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.weights import MODELS, bundled
from lifeiqa_benchmarks import card, measure

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "bundled"


def test_a_section_is_replaced_and_nothing_else():
    text = "before\n<!-- part -->\nold\n<!-- /part -->\nafter\n"
    assert card.replaced(text, "part", "new | a\\1") == (
        "before\n<!-- part -->\nnew | a\\1\n<!-- /part -->\nafter\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- part -->", 2 * "<!-- part --><!-- /part -->"])
def test_a_section_that_is_missing_or_doubled_is_refused(text):
    with pytest.raises(ValueError, match="one is expected"):
        card.replaced(text, "part", "new")


def test_the_table_of_severity_names_what_was_never_learned():
    own = {"srocc": 0.9, "steps": None, "means": [0.8, 0.7, 0.6, 0.5, 0.4, 0.3]}
    whole = {"srocc": 0.81234, "steps": 0.95}
    found = {"kinds": {"jpeg": own, "jitter": own}, "learned_kinds": whole, "untaught_kinds": whole}
    rows = card.severity_table(found, ["jitter"]).splitlines()
    assert rows[2:4] == [
        "| jitter (never learned) | 0.900 |  | 0.800, 0.700, 0.600, 0.500, 0.400, 0.300 |",
        "| jpeg | 0.900 |  | 0.800, 0.700, 0.600, 0.500, 0.400, 0.300 |",
    ]
    assert rows[4:] == [
        "| **all kinds learned** | 0.812 | 0.950 | |",
        "| **all kinds never learned** | 0.812 | 0.950 | |",
    ]


@pytest.fixture
def data(tmp_path):
    """Twelve generated images in the layout that the card is measured on."""
    images = tmp_path / "biq2021" / "images"
    images.mkdir(parents=True)
    generator, rows = np.random.default_rng(0), ["image_name,MOS"]
    for index in range(12):
        name = f"ss0{index % 3 + 1}_{index}.jpg"
        pixels = generator.integers(0, 20 * (index + 1), (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / name)
        rows.append(f"{name},{1 - index / 12}")
    (tmp_path / "biq2021" / "val.csv").write_text("\n".join(rows))
    return tmp_path


def test_the_table_of_agreement_holds_the_figures_of_the_evaluation(data):
    found = measure.agreement_of(bundled(), data)
    table = card.agreement_table(found).splitlines()
    assert f"| 12 | {found.agreement.srocc:.4f} (" in table[2]
    assert [row.split("|")[1].strip()[:12] for row in table[3:]] == [
        "of them ss01", "of them ss02", "of them ss03",
    ]  # fmt: skip
    assert all("| 4 |" in row for row in table[3:])
    assert len({row.count("|") for row in table}) == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_cards_that_are_shipped_hold_what_was_measured(name):
    text = bundled(name).with_name(f"{name}.md").read_text("utf-8")
    found = json.loads((RESULTS / "measured.json").read_text("utf-8"))[name]
    held_out = read_manifest(bundled(name)).training["recipe"]["held_out"]
    assert card.replaced(text, "agreement", "x") != text
    assert card.replaced(text, "severity", card.severity_table(found, held_out)) == text
