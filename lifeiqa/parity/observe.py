"""What a session returns for a set of crops: scores, and the router's view of every token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifeiqa.config import Precision
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import Array, Scores, Session, Trace, Traceable

UNIT_ROUNDOFF: dict[Precision, float] = {"fp32": 2.0**-24, "fp16": 2.0**-11, "int8": 2.0**-9}
"""Largest relative error of one rounding to nearest; of INT8, half a step in the largest value."""


@dataclass(frozen=True)
class Observation:
    """What one session returned for a set of crops.

    Attributes:
        runtime: the arithmetic that was measured.
        precision: of the artifact.
        span: width of the label range, in label units.
        top_k: experts that a token uses.
        scores: float32 ``(n,)``.
        trace: the router's view, or None if it cannot be seen.
    """

    runtime: str
    precision: Precision
    span: float
    top_k: int
    scores: Scores
    trace: Trace | None


def observe(session: Session, crops: Pixels, *, batch: int = 8) -> Observation:
    """Run a session over crops ``(n, S, S, 3)``, ``batch`` at a time."""
    run = session.run_traced if isinstance(session, Traceable) else lambda c: (session.run(c), None)
    found = [run(crops[start : start + batch]) for start in range(0, len(crops), batch)]
    seen = [trace for _, trace in found if trace is not None]
    trace = None
    if seen:
        trace = Trace(
            np.concatenate([part.inputs for part in seen]),
            np.concatenate([part.logits for part in seen]),
            seen[0].weight,
        )
    manifest = session.manifest
    return Observation(
        session.runtime,
        manifest.precision,
        manifest.labels.span,
        manifest.config.top_k,
        np.concatenate([scores for scores, _ in found]),
        trace,
    )


def chosen_experts(logits: Array, top_k: int) -> Array:
    """Bool ``(..., E)``: the K experts of each token, a tie to the lower index (equation 8)."""
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :top_k]
    mask = np.zeros(logits.shape, dtype=bool)
    np.put_along_axis(mask, order, True, axis=-1)
    return mask


def margins_and_resolution(trace: Trace, top_k: int, precision: Precision) -> tuple[Array, Array]:
    """The margin of each token's choice, and how far rounding of the input could move it.

    With a and b the last expert chosen and the first not chosen, the margin is ``g_a - g_b``.
    Rounding every x_i by a relative error of at most u moves it by at most
    ``u sum_i |w_ia - w_ib| |x_i|``, the resolution. Both are ``(n, N)``.
    """
    experts = trace.logits.shape[-1]
    if top_k >= experts:
        return np.full(trace.logits.shape[:-1], np.inf), np.zeros(trace.logits.shape[:-1])
    order = np.argsort(-trace.logits, axis=-1, kind="stable")
    last, first = order[..., top_k - 1], order[..., top_k]  # (n, N)
    ordered = np.take_along_axis(trace.logits, order, axis=-1)
    margin = ordered[..., top_k - 1] - ordered[..., top_k]
    slope = np.abs(trace.weight.T[last] - trace.weight.T[first])  # (n, N, D)
    return margin, UNIT_ROUNDOFF[precision] * (slope * np.abs(trace.inputs)).sum(-1)
