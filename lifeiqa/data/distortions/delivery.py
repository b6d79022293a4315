"""What editing, scaling and screens do to a photograph.

No table holds people's opinions of these kinds.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from lifeiqa.data.distortions.compression import recoded
from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import (
    LUMA,
    Values,
    box,
    filtered,
    gaussian,
    pixels_from_values,
    shifted,
    values_from_pixels,
)
from lifeiqa.preprocess.decode import Pixels

RESAMPLING = Parameter(1, (1.3, 1.7, 2.3, 3.2, 4.5))
"""Factor by which the image is reduced, twice, and enlarged again."""
KERNELS = ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS")
"""Pillow's filters that a resampling may draw."""
BAND = Parameter(0.004, (0.02, 0.035, 0.06, 0.1, 0.16))
"""Height of the steps that smooth gradients become, in [0, 1]."""
SMOOTH_CONTRAST = 0.03
"""Standard deviation over 9x9 pixels, in [0, 1], below which an area counts as smooth."""
MOIRE = Parameter(0, (0.03, 0.06, 0.11, 0.18, 0.28))
"""Amplitude of the fringes, as a share of the light."""
SCREEN_QUALITY = Parameter(95, (85, 75, 60, 45, 30))
"""JPEG quality of the photograph of a screen."""
CHROMA_FACTOR = Parameter(1, (2, 4, 7, 12, 20))
"""Factor by which the color is reduced along both sides."""
BLEED = 0.5
"""How far color runs to the right, in units of that factor."""
COMB = Parameter(0, (0.5, 1, 2, 4, 8))
"""How far every second line is moved, pixels."""
CUTOFF = Parameter(0.5, (0.36, 0.25, 0.17, 0.11, 0.07))
"""Frequency, cycles a pixel, above which nothing is left."""
HALO = Parameter(0, (0.3, 0.7, 1.2, 2, 3.5), geometric=False)
"""Share of the difference from a wide blur that is added."""
HALO_SIGMA = 12.0
"""Standard deviation of that blur, pixels."""


def resampling(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Reduced and enlarged again, twice, each time by a filter that is drawn."""
    image, factor = Image.fromarray(pixels), RESAMPLING.at(strength)
    kernels = [Image.Resampling[KERNELS[draw]] for draw in random.integers(len(KERNELS), size=4)]
    for turn, own in enumerate((math.sqrt(factor), factor)):
        width, height = (max(1, round(side / own)) for side in image.size)
        small = image.resize((width, height), kernels[2 * turn])
        image = small.resize(image.size, kernels[2 * turn + 1])
    return np.asarray(image)


def banding(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Smooth gradients that fall into steps; texture and edges stay as they are."""
    values, height = values_from_pixels(pixels), np.float32(BAND.at(strength))
    smooth = gaussian(values, 2)
    steps = np.rint(smooth / height) * height
    grey = values @ LUMA
    contrast = box(grey * grey, 9) - box(grey, 9) ** 2
    flat = np.exp(-np.maximum(contrast, 0) / np.float32(SMOOTH_CONTRAST**2))[..., np.newaxis]
    flat *= np.float32(min(1.0, strength))
    return pixels_from_values(values + flat * (steps - values))


def screen_photo(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A photograph of a screen: moire, soft resampling, lifted tones and JPEG.

    The fringes are the beat of the screen's red, green and blue stripes with the grid of the
    sensor, bent by the lens; hence each color has its own phase.
    """
    height, width = pixels.shape[:2]
    amount = np.float32(MOIRE.at(strength))
    soft = gaussian(values_from_pixels(pixels), min(1.0, 4 * float(amount)))
    angle, period, bend = random.uniform((0, 6, -1), (2 * math.pi, 14, 1))
    rows = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, np.newaxis]
    columns = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    along = height * rows * math.sin(angle) + width * columns * math.cos(angle)
    bent = 6 * bend * (rows**2 + columns**2)
    phase = (2 * math.pi * (along / period + bent)).astype(np.float32)[..., np.newaxis]
    thirds = np.float32(2 * math.pi / 3) * np.arange(3, dtype=np.float32)
    fringed = soft * (1 + amount * np.sin(phase + thirds))
    lifted = np.clip(fringed, 0, 1) ** np.float32(1 - 0.6 * float(amount))
    quality = round(SCREEN_QUALITY.at(strength))
    return recoded(pixels_from_values(lifted), "JPEG", quality=quality)


def chroma_bleeding(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Color at a fraction of the size, enlarged again and moved to the right, as on video tape."""
    factor = CHROMA_FACTOR.at(strength)
    luma, *chroma = Image.fromarray(pixels).convert("YCbCr").split()
    width, height = (max(1, round(side / factor)) for side in luma.size)
    bled = [
        _moved(
            plane.resize((width, height), Image.Resampling.BOX).resize(luma.size),
            BLEED * (factor - 1),
        )
        for plane in chroma
    ]
    return np.asarray(Image.merge("YCbCr", (luma, *bled)).convert("RGB"))


def interlacing(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Every second line from another moment: moved to the left or right (combing)."""
    columns = COMB.at(strength) * random.choice((-1.0, 1.0))
    combed = values_from_pixels(pixels)
    for channel in range(3):
        combed[1::2, :, channel] = shifted(combed[1::2, :, channel], 0, columns)
    return pixels_from_values(combed)


def ringing(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A sharp low-pass: waves along edges, after Gibbs."""
    cutoff = CUTOFF.at(strength)

    def response(frequency: Values) -> Values:
        gain: Values = np.clip((cutoff - frequency) / (0.1 * cutoff) + 0.5, 0, 1)
        return gain.astype(np.float32)

    return pixels_from_values(filtered(values_from_pixels(pixels), response))


def halo(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Local contrast raised too far: bright and dark seams along edges, as of a bad HDR."""
    values = values_from_pixels(pixels)
    grey = values @ LUMA
    raised = np.float32(HALO.at(strength)) * (grey - gaussian(grey, HALO_SIGMA))
    return pixels_from_values(values + raised[..., np.newaxis])


def _moved(plane: Image.Image, columns: float) -> Image.Image:
    values = np.asarray(plane, np.float32)
    return Image.fromarray(np.rint(shifted(values, 0, columns)).astype(np.uint8))
