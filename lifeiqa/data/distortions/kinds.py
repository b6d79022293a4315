"""What a kind of distortion is, and how its parameter and its mean opinion follow the strength."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels

LEVELS = 5
"""Tabled strengths of every kind, 1 to 5; 0 is the undistorted image."""

UNDISTORTED_OPINION = 4.6
"""Mean opinion, 1 to 5, of an image without distortion."""

Apply = Callable[[Pixels, float, np.random.Generator], Pixels]
"""Pixels ``(H, W, 3)``, strength in (0, 5] and a generator of random fields -> pixels."""


@dataclass(frozen=True)
class Kind:
    """One kind of distortion.

    Attributes:
        name: the key in `KINDS`.
        group: what it belongs to: ``blur``, ``color``, ``compression``, ``noise``, ``tone``,
            ``spatial``, ``sharpness``, or, for kinds without a table, ``capture``, ``delivery``.
        apply: distorts; `distort` checks its arguments.
        opinions: mean opinion, 1 (bad) to 5 (imperceptible), at strengths 1 to 5; None: unknown.
        spread: standard deviation of the opinion between images, at strengths 1 to 5; of
            estimates, their error.
        estimated: whether ``opinions`` come from a fit rather than from people.
    """

    name: str
    group: str
    apply: Apply = field(repr=False, compare=False)
    opinions: tuple[float, ...] | None = None
    spread: tuple[float, ...] | None = None
    estimated: bool = False

    @property
    def tabled(self) -> bool:
        """Whether people scored this kind at every strength."""
        return self.opinions is not None and not self.estimated

    @property
    def monotone(self) -> bool:
        """Whether the opinion falls, or stays within 0.05, from each strength to the next.

        `mean_shift` and `contrast_change` are the tabled kinds that do not: their middle strength
        is nearly the undistorted image.
        """
        if self.opinions is None:
            return True
        return bool(np.all(np.diff(self.opinions) < 0.05))


@dataclass(frozen=True)
class Parameter:
    """A parameter as a function of the strength.

    It is interpolated between neighbouring strengths: by a constant factor where both values are
    positive and ``geometric`` is set, by a constant difference otherwise.

    Attributes:
        start: the value at strength 0.
        values: the values at strengths 1 to 5.
        geometric: see above.
    """

    start: float
    values: tuple[float, float, float, float, float]
    geometric: bool = True

    def at(self, strength: float) -> float:
        """The value at a strength in [0, 5]."""
        steps = (self.start, *self.values)
        below = min(int(strength), LEVELS - 1)
        low, high, share = steps[below], steps[below + 1], strength - below
        if self.geometric and low > 0 and high > 0:
            return float(low ** (1 - share) * high**share)
        return float(low + (high - low) * share)


def opinion_at(kind: Kind, strength: float) -> float:
    """The mean opinion, 1 to 5, at a strength in [0, 5], linear between strengths.

    Raises:
        ConfigError: the kind has no opinions.
    """
    if kind.opinions is None:
        raise ConfigError(
            f"distortion {kind.name!r} has no table of opinions; choose one that has, "
            f"or use the order of strengths alone"
        )
    steps = (UNDISTORTED_OPINION, *kind.opinions)
    return float(np.interp(strength, np.arange(LEVELS + 1), steps))
