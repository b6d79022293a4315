"""Distortions of images at continuous strengths, with what people think of them.

25 kinds follow KADID-10k (Lin, Hosu, Saupe, 2019): five strengths each, scored by people, so that
a distorted image has a target without a score of its own. A strength may be any real number in
[0, 5]; parameters and opinions are interpolated between the tabled strengths. They hold for images
of about 512x384 pixels seen whole: reduce larger ones first (`scale.reduced`).

The other kinds are what happens to photographs today: WebP and AVIF, resampling, banding,
photographs of screens, bleeding colors, interlacing, ringing, halos, wrong exposure, vignetting,
haze, noise of a sensor. Nobody scored them. Their opinions, marked `Kind.estimated`, are read off a
curve from a full-reference measure (MDSI) to the opinions of the 25; on kinds that the curve did
not see, its SROCC with people is 0.93 and its error 0.37, on the scale of 1 to 5.
`benchmarks/results/opinions.md` has the figures. Haze has none, for the measure misjudges it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifeiqa.data.distortions import (
    blur,
    capture,
    color,
    compression,
    delivery,
    noise,
    sharpness,
    spatial,
    tone,
)
from lifeiqa.data.distortions.kinds import LEVELS as LEVELS
from lifeiqa.data.distortions.kinds import UNDISTORTED_OPINION as UNDISTORTED_OPINION
from lifeiqa.data.distortions.kinds import Apply, opinion_at
from lifeiqa.data.distortions.kinds import Kind as Kind
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels, decode


def _tabled(group: str, apply: Apply, opinions: str, spread: str) -> Kind:
    name = apply.__name__
    return Kind(name, group, apply, _numbers(opinions), _numbers(spread))


def _estimated(group: str, apply: Apply, opinions: str | None) -> Kind:
    if opinions is None:
        return Kind(apply.__name__, group, apply)
    spread = (_ESTIMATED_ERROR,) * LEVELS
    return Kind(apply.__name__, group, apply, _numbers(opinions), spread, estimated=True)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split())


# fmt: off
_TABLED = (
    _tabled("blur", blur.gaussian_blur, "4.61 4.38 2.91 1.87 1.30", ".13 .22 .43 .27 .14"),
    _tabled("blur", blur.lens_blur, "3.86 2.65 1.76 1.44 1.30", ".36 .40 .25 .17 .15"),
    _tabled("blur", blur.motion_blur, "4.60 4.10 2.85 2.18 1.67", ".13 .34 .43 .35 .26"),
    _tabled("color", color.color_diffusion, "4.50 2.60 1.76 1.61 1.39", ".18 .43 .37 .36 .29"),
    _tabled("color", color.color_shift, "4.23 2.55 1.92 1.85 1.86", ".39 .52 .40 .45 .50"),
    _tabled("color", color.color_quantization, "4.11 3.97 3.72 3.20 2.42", ".31 .35 .39 .41 .40"),
    _tabled("color", color.color_saturation_hsv, "2.75 2.33 2.26 2.24 2.03", ".32 .27 .31 .26 .31"),
    _tabled("color", color.color_saturation_lab, "4.58 3.33 2.65 1.82 1.52", ".14 .37 .44 .38 .31"),
    _tabled("compression", compression.jpeg2000, "4.55 4.20 3.87 2.44 1.39", ".16 .45 .61 .68 .25"),
    _tabled("compression", compression.jpeg, "4.34 4.25 3.87 1.95 1.35", ".22 .23 .31 .32 .18"),
    _tabled("noise", noise.white_noise, "3.89 3.39 3.05 2.71 2.30", ".36 .41 .36 .32 .27"),
    _tabled("noise", noise.white_noise_ycbcr, "4.47 3.68 3.17 2.69 2.38", ".20 .40 .41 .32 .29"),
    _tabled("noise", noise.impulse_noise, "3.58 2.93 2.61 2.31 2.13", ".38 .31 .24 .20 .18"),
    _tabled("noise", noise.multiplicative_noise, "4.40 3.58 3.08 2.64 2.12", ".26 .49 .49 .43 .34"),
    _tabled("noise", noise.denoise, "3.67 2.73 2.20 1.65 1.47", ".33 .39 .35 .24 .17"),
    _tabled("tone", tone.brighten, "4.51 4.29 3.63 2.70 1.81", ".16 .23 .33 .46 .38"),
    _tabled("tone", tone.darken, "4.60 4.53 4.23 3.53 2.22", ".13 .14 .22 .29 .40"),
    _tabled("tone", tone.mean_shift, "4.22 4.52 4.60 4.37 3.90", ".30 .18 .14 .19 .29"),
    _tabled("spatial", spatial.jitter, "4.42 4.09 3.24 1.85 1.34", ".20 .29 .45 .32 .17"),
    _tabled("spatial", spatial.non_eccentricity_patch,
            "4.33 3.94 3.77 3.46 3.26", ".31 .50 .55 .64 .65"),
    _tabled("spatial", spatial.pixelate, "3.89 3.10 2.90 2.79 1.50", ".45 .48 .44 .49 .26"),
    _tabled("tone", tone.quantization, "4.17 3.93 3.69 3.37 2.80", ".45 .59 .58 .64 .67"),
    _tabled("spatial", spatial.color_block, "2.69 2.36 2.30 2.13 2.04", ".39 .30 .25 .23 .23"),
    _tabled("sharpness", sharpness.high_sharpen, "3.58 2.64 2.14 1.61 1.34", ".41 .43 .36 .25 .16"),
    _tabled("tone", tone.contrast_change, "3.42 3.86 4.29 4.14 3.32", ".37 .27 .25 .27 .37"),
)
# fmt: on
_ESTIMATED_ERROR = 0.37
"""Root mean square error of the estimates below, on kinds that people scored."""
_UNTABLED = (
    _estimated("compression", compression.webp, "3.98 3.42 3.10 2.65 1.92"),
    _estimated("compression", compression.avif, "3.91 3.21 2.70 2.33 1.98"),
    _estimated("delivery", delivery.resampling, "4.04 3.65 3.26 2.60 1.94"),
    _estimated("delivery", delivery.banding, "4.27 4.07 4.01 3.51 3.28"),
    _estimated("delivery", delivery.screen_photo, "4.23 3.81 2.89 2.21 1.91"),
    _estimated("delivery", delivery.chroma_bleeding, "4.42 4.31 4.06 4.00 3.54"),
    _estimated("delivery", delivery.interlacing, "4.25 3.60 2.77 2.21 1.96"),
    _estimated("delivery", delivery.ringing, "4.47 4.24 3.43 2.43 1.92"),
    _estimated("delivery", delivery.halo, "4.12 3.41 2.73 2.29 1.93"),
    _estimated("capture", capture.overexposure, "4.31 3.50 2.56 1.81 1.59"),
    _estimated("capture", capture.underexposure, "4.05 3.07 1.95 1.69 1.50"),
    _estimated("capture", capture.vignetting, "4.52 4.35 4.02 3.11 1.92"),
    _estimated("capture", capture.haze, None),
    _estimated("capture", capture.sensor_noise, "4.10 3.79 3.16 2.51 1.98"),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_TABLED, *_UNTABLED)}
"""Name -> kind of distortion."""


def distort(pixels: Pixels, kind: str, strength: float, *, seed: int = 0) -> Pixels:
    """Distort an image at its own size.

    Args:
        pixels: RGB uint8 ``(H, W, 3)``, of any size; it is not changed.
        kind: a key of `KINDS`.
        strength: in [0, 5]; 0 gives the image back as it is. For `mean_shift` and
            `contrast_change` it runs along a curve from one side of the image to the other.
        seed: draws whatever is random. All strengths of one seed and size use one and the same
            random field, so that nothing but the strength differs between them.

    Returns:
        RGB uint8 ``(H, W, 3)``.

    Raises:
        ConfigError: there is no such kind or strength, or this Pillow was built without a codec.
        ImageError: the array is no RGB image.
        MissingDependencyError: SciPy is not installed.
    """
    chosen = kind_of(kind)
    _require_strength(chosen, strength)
    pixels = decode(pixels)
    if strength == 0:
        return pixels
    return chosen.apply(pixels, float(strength), np.random.default_rng(seed))


def mean_opinion(kind: str, strength: float) -> float:
    """What people think of an image that is distorted so, 1 (bad) to 5 (imperceptible).

    Linear between the tabled strengths; 4.6 at strength 0.

    Raises:
        ConfigError: there is no such kind or strength, or the kind has no opinions.
    """
    chosen = kind_of(kind)
    _require_strength(chosen, strength)
    return opinion_at(chosen, strength)


def compose(pixels: Pixels, steps: Sequence[tuple[str, float]], *, seed: int) -> Pixels:
    """Distort by several kinds in turn, each ``(kind, strength)`` with a random field of its own.

    Raises:
        ConfigError, ImageError, MissingDependencyError: see `distort`.
    """
    pixels = decode(pixels)
    for place, (kind, strength) in enumerate(steps):
        own = np.random.SeedSequence((seed, place)).generate_state(1)
        pixels = distort(pixels, kind, strength, seed=int(own[0]))
    return pixels


def kind_of(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in KINDS:
        raise ConfigError(f"distortion {name!r}: choose one of {', '.join(KINDS)}")
    return KINDS[name]


def _require_strength(kind: Kind, strength: float) -> None:
    if not 0 <= strength <= LEVELS:  # NaN, too
        raise ConfigError(
            f"strength {strength} of {kind.name}: choose 0 (undistorted) to {LEVELS} (severe)"
        )
