"""Estimate what people would think of the distortions that nobody scored.

``python -m lifeiqa_benchmarks.opinions`` measures every kind and strength by MDSI on photographs
that scikit-image carries, fits the opinions of the tabled kinds to it (isotonic regression), and
reads the others off that curve. How good the fit is comes from leaving out one kind at a time. It
writes ``benchmarks/results/opinions.json`` and ``opinions.md``; the estimates in
`lifeiqa.data.distortions` are those of the JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from lifeiqa.data.distortions import KINDS, LEVELS, UNDISTORTED_OPINION, distort
from lifeiqa.data.distortions.scale import reduced
from lifeiqa.files import atomic_write
from lifeiqa.metrics import FloatArray, srocc
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa_benchmarks.references import MEASURES, mdsi
from lifeiqa_export.photographs import photographs

RESULTS = Path(__file__).parents[1] / "results"
COLORFUL = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
"""The photographs in color; on grey ones half of the kinds do nothing."""
NOT_ESTIMATED = ("haze",)
"""Kinds that MDSI misjudges: a veil that leaves 0.92 of the contrast is farther from the original
by it than a contrast of 0.4, for it weighs the lifted blacks too much."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A falling curve from a distance to a mean opinion, 1 to 5.

    Attributes:
        distances: rising, one for each block of equal opinion.
        opinions: of each block, falling.
    """

    distances: FloatArray
    opinions: FloatArray

    @classmethod
    def fitted(cls, distances: FloatArray, opinions: FloatArray) -> Curve:
        """Isotonic regression; what is undistorted, at distance 0, belongs to it."""
        order = np.argsort(distances, kind="stable")
        fit = isotonic_regression(opinions[order], increasing=False)
        middles = np.array([
            distances[order][first:last].mean()
            for first, last in zip(fit.blocks[:-1], fit.blocks[1:], strict=True)
        ])  # fmt: skip
        levels = fit.x[fit.blocks[:-1]]
        return cls(np.append(0, middles), np.append(UNDISTORTED_OPINION, levels))

    def at(self, distances: FloatArray) -> FloatArray:
        """The opinion at each distance, linear between blocks."""
        return np.interp(distances, self.distances, self.opinions)


def left_out(kinds: Sequence[str], distances: FloatArray, opinions: FloatArray) -> FloatArray:
    """The opinion of every cell from the curve of all other kinds."""
    names, estimates = np.array(kinds), np.empty_like(opinions)
    for name in dict.fromkeys(kinds):
        own = names == name
        estimates[own] = Curve.fitted(distances[~own], opinions[~own]).at(distances[own])
    return estimates


def distances_of(kind: str, images: Sequence[Pixels]) -> dict[str, list[float]]:
    """Measure -> mean distance from the original at strengths 1 to 5."""
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for level in range(1, LEVELS + 1):
        pairs = [
            (image, distort(image, kind, level, seed=seed)) for seed, image in enumerate(images)
        ]
        for name, measure in MEASURES.items():
            found[name].append(round(float(np.mean([measure(*pair) for pair in pairs])), 4))
    return found


def estimate(distances: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """The quality of the fit and the estimates, from the distances of every kind."""
    tabled = {name: kind.opinions for name, kind in KINDS.items() if kind.tabled and kind.opinions}
    cells = [name for name in tabled for _ in range(LEVELS)]
    opinions = np.array([opinion for own in tabled.values() for opinion in own])
    fits = {}
    for measure in MEASURES:
        own = np.array([value for name in tabled for value in distances[name][measure]])
        estimates = left_out(cells, own, opinions)
        fits[measure] = {
            "srocc": round(-srocc(own, opinions), 4),
            "srocc_left_out": round(srocc(estimates, opinions), 4),
            "rmse_left_out": round(float(np.sqrt(np.mean((estimates - opinions) ** 2))), 3),
        }
        if measure == mdsi.__name__:
            curve = Curve.fitted(own, opinions)
            rows = estimates.reshape(len(tabled), LEVELS).round(2).tolist()
            by_kind = dict(zip(tabled, rows, strict=True))
    return {
        "photographs": list(COLORFUL),
        "cells": len(cells),
        "fits": fits,
        "left_out": by_kind,
        "estimates": {
            name: curve.at(np.array(distances[name][mdsi.__name__])).round(2).tolist()
            for name in KINDS
            if name not in (*tabled, *NOT_ESTIMATED)
        },
        "distances": distances,
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        "# What people would think of distortions that nobody scored",
        "",
        "Made by `python -m lifeiqa_benchmarks.opinions`. Opinions are from 1 (bad) to 5.",
        "",
        f"Mean over {len(found['photographs'])} photographs of scikit-image; {found['cells']} "
        "cells (kind and strength) have the opinions of people. "
        "Left out: each kind is read off the curve of the other kinds. The parameters of denoise, "
        "jpeg2000, color_shift and contrast_change were chosen with MDSI at hand, which flatters "
        "its figures a little. Not estimated, for MDSI misjudges it: "
        f"{', '.join(NOT_ESTIMATED)}.",
        "",
        "| distance | SROCC with opinions | SROCC left out | RMSE left out |",
        "| --- | --- | --- | --- |",
    ]
    for name, fit in found["fits"].items():
        lines.append(
            f"| {name} | {fit['srocc']:.3f} | {fit['srocc_left_out']:.3f} "
            f"| {fit['rmse_left_out']:.2f} |"
        )
    lines += [
        "",
        "Estimates by MDSI, strengths 1 to 5:",
        "",
        "| kind | estimates |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {_row(own)} |" for name, own in found["estimates"].items()]
    lines += [
        "",
        "Tabled kinds, left out:",
        "",
        "| kind | people | left out |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {_row(KINDS[name].opinions or ())} | {_row(own)} |"
        for name, own in found["left_out"].items()
    ]
    return "\n".join([*lines, ""])


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def main() -> None:
    """Measure, and write both files."""
    images = [reduced(decode(path)) for path in photographs() if path.name in COLORFUL]
    found = estimate({name: distances_of(name, images) for name in KINDS})
    for name, text in (
        ("opinions.json", json.dumps(found, indent=1) + "\n"),
        ("opinions.md", as_markdown(found)),
    ):
        with atomic_write(RESULTS / name) as temporary:
            temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
