"""The figures of the model card: where they are written, and that they are the ones measured."""

import numpy as np
import pytest
from PIL import Image

from lifeiqa.evaluation.monotonicity import Monotonicity
from lifeiqa.weights import bundled
from lifeiqa_benchmarks import card, measure


def test_a_section_is_replaced_and_nothing_else():
    text = "before\n<!-- part -->\nold\n<!-- /part -->\nafter\n"
    assert card.replaced(text, "part", "new | a\\1") == (
        "before\n<!-- part -->\nnew | a\\1\n<!-- /part -->\nafter\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- part -->", 2 * "<!-- part --><!-- /part -->"])
def test_a_section_that_is_missing_or_doubled_is_refused(text):
    with pytest.raises(ValueError, match="one is expected"):
        card.replaced(text, "part", "new")


def test_the_table_of_monotonicity_has_shares_and_mean_scores():
    falling, level = np.linspace(1, 0, 6), np.array([1, 0.9, 0.9, 0.8, 0.7, 0.6])
    kinds = ("white_noise", "high_sharpen", "mean_shift")
    scores = np.array([[falling, level, level]] * 2)
    found = Monotonicity("model", "higher", ("a.png", "b.png"), kinds, scores)
    rows = card.monotonicity_table(found).splitlines()
    assert rows[2].startswith("| white_noise | 1.000 | 1.000 | 1.000 | 1.000, 0.800,")
    # Opinions of the sharpened images fall clearly but at the last step; one step does not fall.
    assert rows[3].startswith("| high_sharpen | 0.000 | 0.750 | 0.975 | 1.000, 0.900,")
    assert rows[4].startswith("| mean_shift |  | 1.000 | 0.410 |")
    assert rows[5].startswith("| all | 0.500 | ")
    assert len({row.count("|") for row in rows}) == 1


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
    for section in ("agreement", "monotonicity"):
        assert card.replaced(text, section, "x") != text
