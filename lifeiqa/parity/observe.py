"""What a session returns for a set of crops: scores, and the router's view of every token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifeiqa.preprocess.crops import CropPlan
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import Array, Scores, Session, Trace, Traceable


@dataclass(frozen=True)
class Observation:
    """What one session returned for a set of crops.

    Attributes:
        runtime: the arithmetic that was measured.
        span: width of the label range, in label units.
        top_k: experts that a token uses.
        crops: crops of one image under the plan of the model; the fewest where that varies.
        scores: float32 ``(n,)``.
        trace: the router's view, or None if it cannot be seen.
    """

    runtime: str
    span: float
    top_k: int
    crops: int
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
        manifest.labels.span,
        manifest.config.top_k,
        CropPlan.parse(manifest.preprocessing.crops).min_count,
        np.concatenate([scores for scores, _ in found]),
        trace,
    )


def chosen_experts(logits: Array, top_k: int) -> Array:
    """Bool ``(..., E)``: the K experts of each token, a tie to the lower index (equation 8)."""
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :top_k]
    mask = np.zeros(logits.shape, dtype=bool)
    np.put_along_axis(mask, order, True, axis=-1)
    return mask


def margins(trace: Trace, top_k: int) -> tuple[Array, Array]:
    """How clear each token's choice is, and how fast an error of its input could undo it.

    With a and b the last expert chosen and the first not chosen, the margin is ``g_a - g_b``. An
    error of relative size r in the token x moves it by at most ``r |x| |w_a - w_b|`` (Cauchy and
    Schwarz), r times the reach. Where every expert is chosen, the margin is infinite.

    Returns:
        Margin and reach, both ``(n, N)``, float64.
    """
    experts = trace.logits.shape[-1]
    if top_k >= experts:
        return np.full(trace.logits.shape[:-1], np.inf), np.zeros(trace.logits.shape[:-1])
    order = np.argsort(-trace.logits, axis=-1, kind="stable")
    last, first = order[..., top_k - 1], order[..., top_k]  # (n, N)
    ordered = np.take_along_axis(trace.logits, order, axis=-1).astype(np.float64)
    slope = trace.weight.T[last] - trace.weight.T[first]  # (n, N, D)
    reach = np.linalg.norm(slope, axis=-1) * np.linalg.norm(trace.inputs, axis=-1)
    return ordered[..., top_k - 1] - ordered[..., top_k], reach


def input_errors(parent: Trace, child: Trace) -> Array:
    """``(n, N)``: relative error of each token at the router, ``|x' - x| / |x|``."""
    inputs = parent.inputs.astype(np.float64)
    error = np.linalg.norm(child.inputs - inputs, axis=-1)
    relative: Array = error / np.maximum(np.linalg.norm(inputs, axis=-1), np.finfo(np.float64).tiny)
    return relative
