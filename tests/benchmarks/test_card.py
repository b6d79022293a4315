"""The figures of the model card: where they are written, and that they are the ones measured."""

import numpy as np
import pytest
from PIL import Image

from lifeiqa.evaluation.sense import Sense
from lifeiqa.weights import bundled
from lifeiqa_benchmarks import card, measure


def test_a_section_is_replaced_and_nothing_else():
    text = "before\n<!-- sense -->\nold\n<!-- /sense -->\nafter\n"
    assert card.replaced(text, "sense", "new | a\\1") == (
        "before\n<!-- sense -->\nnew | a\\1\n<!-- /sense -->\nafter\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- sense -->", 2 * "<!-- sense --><!-- /sense -->"])
def test_a_section_that_is_missing_or_doubled_is_refused(text):
    with pytest.raises(ValueError, match="one is expected"):
        card.replaced(text, "sense", "new")


def test_the_table_of_sense_counts_pairs_and_steps():
    falling, level = np.linspace(1, 0, 6), np.array([1, 0.9, 0.9, 0.8, 0.7, 0.6])
    found = Sense("model", "higher", ("blur", "noise"), np.array([[falling, level]] * 2))
    rows = card.sense_table(found).splitlines()
    assert rows[2].startswith("| blur | 1.000 | 1.000 | 1.000, 0.800,")
    assert rows[3].startswith("| noise | 0.000 | 0.800 |")
    assert rows[4] == "| all | 0.500 (2 of 4) | 0.900 | |"


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


def test_the_card_that_is_shipped_has_both_sections():
    text = bundled().with_name("MODEL_CARD.md").read_text("utf-8")
    for section in ("agreement", "sense"):
        assert card.replaced(text, section, "x") != text
