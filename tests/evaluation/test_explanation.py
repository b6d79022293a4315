"""The figure of an explanation: every map, score and expert stands where it belongs."""

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.raster import pattern
from helpers.tiny_network import ABLATIONS, tiny_model, tiny_preprocessing
from lifeiqa.errors import ConfigError
from lifeiqa.evaluation.explanation import attention_maps, draw, write
from lifeiqa.model.explain import Explanation, explain
from lifeiqa.preprocess.crops import with_plan

LEFT, RIGHT = (0, 0), (2, 6)
EDGES = (0.0, 4.0, 10.0)
"""Crops of 10 pixels of two uneven cells a side."""


def explanation(*windows, **changes):
    """An image of 12 x 16 pixels by a network of 2 layers, 3 heads, 2 tokens and 3 experts."""
    generator = np.random.default_rng(5)
    attention = generator.random((len(windows), 2, 3, 2, 2, 2), np.float32)
    attention /= attention.sum((-2, -1), keepdims=True)
    mask = np.zeros((len(windows), 2, 3), bool)
    mask[..., [0, 2]] = True
    values = {
        "image": pattern(12, 16),
        "windows": windows,
        "crop_size": 10,
        "scores": np.full(len(windows), 0.25, np.float32),
        "token_scores": np.tile(np.array([[0.2, 0.3]], np.float32), (len(windows), 1)),
        "attention": attention,
        "edges": EDGES,
        "probabilities": np.tile(np.array([0.3, 0.1, 0.6], np.float32), (len(windows), 2, 1)),
        "mask": mask,
    }
    return Explanation(**{**values, **changes})


def spread(cells, y, x):
    """The map of four cells, linear between their centres, at the middle of one pixel."""

    def upper(place):
        """Share of the second cell; the centres lie at 2 and 7."""
        return min(max((place + 0.5 - 2) / 5, 0), 1)

    rows, columns = ((1 - upper(place), upper(place)) for place in (y, x))
    return sum(rows[i] * columns[j] * cells[i][j] for i in range(2) for j in range(2))


@pytest.mark.parametrize(("layer", "index"), [(1, 0), (2, 1), (None, 1)])
def test_a_map_lies_where_its_crop_does_and_two_crops_average(layer, index):
    found = explanation(LEFT, RIGHT)

    maps = attention_maps(found, layer)

    assert maps.shape == (2, 12, 16)
    for token, y, x in np.ndindex(*maps.shape):
        heads = found.attention[:, index, :, token].mean(1) * 4  # an even spread is 1
        seen = [
            spread(cells, y - top, x - left)
            for cells, (top, left) in zip(heads, found.windows, strict=True)
            if 0 <= y - top < 10 and 0 <= x - left < 10
        ]
        expected = np.mean(seen) if seen else np.nan
        assert maps[token, y, x] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_even_attention_is_one_everywhere():
    even = np.full((1, 2, 3, 2, 2, 2), 0.25, np.float32)

    maps = attention_maps(explanation(LEFT, attention=even))

    np.testing.assert_allclose(maps[:, :10, :10], 1)


@pytest.mark.parametrize("layer", [0, 3, -1])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(ConfigError, match=f"layer {layer}: the decoder has layers 1 to 2"):
        draw(explanation(LEFT), layer=layer)


def test_a_layer_of_a_network_without_cross_attention_is_refused():
    with pytest.raises(ConfigError, match="no cross-attention to draw"):
        draw(explanation(LEFT, attention=None, edges=()), layer=1)


def words(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_every_token_has_its_score_and_the_weights_of_its_experts():
    figure = draw(explanation(LEFT, RIGHT))

    found = words(figure)
    assert {"token 1: 0.200", "token 2: 0.300", "score 0.250, mean of 2 crops"} <= set(found)
    # 0.6 and 0.3 of the probability, over the two that were chosen.
    assert found.count("E3 0.67   E1 0.33") == 2


def test_the_bars_of_a_token_are_the_weights_of_its_experts():
    figure = draw(explanation(LEFT))

    (bars,) = (axes for axes in figure.findobj(type(figure.axes[0])) if axes.containers)
    widths = [[bar.get_width() for bar in expert] for expert in bars.containers]
    np.testing.assert_allclose(widths, [[1 / 3] * 2, [0] * 2, [2 / 3] * 2], rtol=1e-6)
    starts = [[bar.get_x() for bar in expert] for expert in bars.containers]
    np.testing.assert_allclose(starts, [[0] * 2, [1 / 3] * 2, [1 / 3] * 2], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(set(ABLATIONS) - {"linear-probe"}))
def test_every_network_has_a_figure_of_what_it_has(name, tmp_path):
    torch.manual_seed(0)
    model = tiny_model(**ABLATIONS[name])
    config = model.network.config
    found = explain(
        model, pattern(150, 120), with_plan(tiny_preprocessing(model.network), "grid:2")
    )

    figure = draw(found)
    write(figure, tmp_path / "figure.png")

    drawn = words(figure)
    assert sum(text.startswith("token ") and ":" in text for text in drawn) == 6
    assert ("weights of the experts" in drawn) == (config.head == "moe")
    assert ("attention relative to uniform" in drawn) == (config.memory_stage is not None)
    with Image.open(tmp_path / "figure.png") as written:
        assert np.ptp(np.asarray(written.convert("L"))) == 255


@pytest.mark.parametrize("queries", [1, 2, 5, 12])
def test_any_number_of_tokens_has_a_panel_each(queries, tmp_path):
    found = explanation(
        LEFT,
        token_scores=np.zeros((1, queries), np.float32),
        attention=np.full((1, 1, 1, queries, 2, 2), 0.25, np.float32),
        probabilities=np.full((1, queries, 2), 0.5, np.float32),
        mask=np.ones((1, queries, 2), bool),
    )

    figure = draw(found)
    write(figure, tmp_path / "figure.png")

    assert sum(text.startswith("token ") and ":" in text for text in words(figure)) == queries


@pytest.mark.parametrize("name", ["figure.pdf", "figure"])
def test_another_ending_than_png_is_refused_and_nothing_written(name, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        write(draw(explanation(LEFT)), tmp_path / name)

    assert list(tmp_path.iterdir()) == []
