"""The figure of an explanation: attention, score and experts of each query token (Fig. 9).

All crops are drawn at once, each at its place in the image. Where they overlap the mean is drawn,
and figures of a token for the whole image are means over the crops.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lifeiqa.errors import ConfigError, require
from lifeiqa.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lifeiqa.model.explain import Explanation

Heat = npt.NDArray[np.float64]
_PANEL = 2.3  # inches along the longer side of a token's panel
_LIGHT = 0.7  # brightness of the grey image below a map
_SMALL = 7  # points
_DPI = 150


def attention_maps(explanation: Explanation, layer: int | None = None) -> Heat:
    """``(N, H, W)``: how much each token attends to each place of the image.

    The mean over the heads, times the number of cells, so that 1 is uniform attention, interpolated
    linearly between the centres of the cells. The mean where crops overlap, NaN outside of them.

    Args:
        explanation: result of `lifeiqa.model.explain.explain`.
        layer: decoder layer, from 1; None takes the last.

    Raises:
        ConfigError: the network has no cross-attention, or no such layer.
    """
    attention = explanation.attention
    if attention is None:
        raise ConfigError("the network has no cross-attention to draw")
    layers = attention.shape[1]
    layer = layers if layer is None else layer
    if not 1 <= layer <= layers:
        raise ConfigError(f"layer {layer}: the decoder has layers 1 to {layers}")
    relative = attention[:, layer - 1].mean(1) * attention.shape[-1] ** 2  # (n, N, G, G)
    size = explanation.crop_size
    edges = np.asarray(explanation.edges)
    centres = (edges[:-1] + edges[1:]) / 2
    places = np.arange(size) + 0.5
    weights = [np.interp(places, centres, one_cell) for one_cell in np.eye(len(centres))]
    spread = np.stack(weights, axis=1)  # (S, G)
    total = np.zeros((relative.shape[1], *explanation.image.shape[:2]))
    times = np.zeros(explanation.image.shape[:2])
    for maps, (top, left) in zip(relative, explanation.windows, strict=True):
        rows, columns = slice(top, top + size), slice(left, left + size)
        total[:, rows, columns] += spread @ maps @ spread.T
        times[rows, columns] += 1
    heat: Heat = np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0)
    return heat


def draw(explanation: Explanation, *, layer: int | None = None) -> Figure:
    """The image with its crops, a panel for each token, and the router's weights.

    Args:
        explanation: result of `lifeiqa.model.explain.explain`.
        layer: decoder layer whose attention is drawn, from 1; None takes the last.

    Raises:
        ConfigError: there is no such layer, or the network has no cross-attention.
        MissingDependencyError: matplotlib is not installed.
    """
    figures = require(
        "matplotlib.figure", extra="evaluation", purpose="the figure of an explanation"
    )
    maps = None
    if explanation.attention is not None or layer is not None:
        maps = attention_maps(explanation, layer)
    tokens = explanation.token_scores.shape[1]
    rows = max(1, math.isqrt(tokens * 2 // 3))
    columns = math.ceil(tokens / rows)
    scale = _PANEL / max(explanation.image.shape)
    height, width = (scale * side for side in explanation.image.shape[:2])
    width = max(width, 1.6)  # the titles need it
    figure: Figure = figures.Figure(
        figsize=((columns + 1.5) * width + 0.8, rows * (height + 0.42) + 0.2),
        dpi=_DPI,
        layout="constrained",
    )
    ((left, right),) = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.5, columns])
    _draw_image(left, explanation)
    panels = right.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in panels:
        axes.set_axis_off()
    for token, axes in enumerate(panels[:tokens]):
        _draw_token(axes, explanation, token)
    if maps is not None:
        # One scale for all tokens. More attention hides more of the grey image.
        highest = np.nanmax(maps)
        for axes, heat in zip(panels, maps, strict=False):
            opacity = np.nan_to_num(0.15 + 0.7 * np.sqrt(heat / highest))
            image = axes.imshow(heat, cmap="inferno", vmin=0, vmax=highest, alpha=opacity)
        bar = right.colorbar(image, ax=panels, shrink=0.6, aspect=30, pad=0.01)
        bar.set_label("attention relative to uniform", fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL)
        bar.outline.set_visible(False)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically.

    Raises:
        ConfigError: the name does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: figures are written as PNG; choose a name that ends in .png")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_image(figure: Any, explanation: Explanation) -> None:
    """The image with its crops, above the router's weights."""
    weights = explanation.weights
    if weights is None:
        axes = figure.subplots()
    else:
        axes, bars = figure.subplots(2, 1, height_ratios=[1.5, 1])
        _draw_weights(bars, weights.mean(0))
    axes.imshow(explanation.image)
    axes.set_axis_off()
    crops = len(explanation.windows)
    over = "one crop" if crops == 1 else f"mean of {crops} crops"
    axes.set_title(f"score {explanation.score:.3f}, {over}", fontsize=10, fontweight="bold")
    _outline_crops(axes, explanation, linewidth=1.2)


def _draw_token(axes: Any, explanation: Explanation, token: int) -> None:
    """The dimmed image, with the token's score and its experts, the largest weight first."""
    axes.imshow(explanation.image.mean(2), cmap="gray", vmin=0, vmax=255 / _LIGHT)
    _outline_crops(axes, explanation, linewidth=0.5)
    title = f"token {token + 1}: {explanation.token_scores[:, token].mean():.3f}"
    weights, mask = explanation.weights, explanation.mask
    if weights is None or mask is None:
        axes.set_title(title, fontsize=8, fontweight="bold")
        return
    axes.set_title(title, fontsize=8, fontweight="bold", pad=14)  # above the line of experts
    mean = weights[:, token].mean(0)
    chosen = np.argsort(-mean, kind="stable")[: mask[0, token].sum()]
    experts = "   ".join(f"E{expert + 1} {mean[expert]:.2f}" for expert in chosen)
    axes.text(0.5, 1.03, experts, fontsize=_SMALL, ha="center", transform=axes.transAxes)


def _draw_weights(axes: Any, weights: npt.NDArray[np.float32]) -> None:
    """``(N, E)``: one bar per token, divided among its experts."""
    tokens, experts = weights.shape
    rows = np.arange(tokens)
    starts = np.cumsum(weights, axis=1) - weights
    for expert in range(experts):
        axes.barh(
            rows,
            weights[:, expert],
            left=starts[:, expert],
            height=0.75,
            color=f"C{expert}",
            label=f"E{expert + 1}",
        )
    axes.set_title("weights of the experts", fontsize=8)
    axes.set_yticks(rows, [f"token {row + 1}" for row in rows], fontsize=_SMALL)
    axes.set_xticks([])
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=min(experts, 4),
        fontsize=_SMALL,
        frameon=False,
        handlelength=0.8,
        columnspacing=1,
    )


def _outline_crops(axes: Any, explanation: Explanation, *, linewidth: float) -> None:
    size = explanation.crop_size
    for top, left in explanation.windows:
        x, y = left - 0.5, top - 0.5  # pixel centres are at integer coordinates
        corners = [x, x + size, x + size, x, x], [y, y, y + size, y + size, y]
        axes.plot(*corners, color="white", linewidth=linewidth, alpha=0.8)
