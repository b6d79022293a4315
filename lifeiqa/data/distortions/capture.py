"""What light, lens and sensor do to a photograph.

No table holds people's opinions of these kinds.
"""

from __future__ import annotations

import math

import numpy as np

from lifeiqa.data.distortions.colorspace import linear_from_pixels, pixels_from_linear
from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import Values, demosaiced, enlarged
from lifeiqa.preprocess.decode import Pixels

OVER_STOPS = Parameter(0, (0.5, 1, 1.6, 2.4, 3.5), geometric=False)
"""Exposure above the right one, stops: a stop is twice the light."""
UNDER_STOPS = Parameter(0, (1, 2, 3, 4, 5.5), geometric=False)
"""Exposure below the right one, stops."""
FLOOR = 0.002
"""Light, of 1 for white, that an underexposed sensor no longer tells from none."""
CORNER_STOPS = Parameter(0, (0.5, 1, 1.8, 3, 5), geometric=False)
"""How much darker the corners are, stops."""
TRANSMISSION = Parameter(1, (0.92, 0.78, 0.6, 0.42, 0.25), geometric=False)
"""Share of the light of a scene that comes through haze."""
AIRLIGHT = (0.62, 0.66, 0.70)
"""Light that the haze sends instead, R, G, B in [0, 1]."""
PHOTON_VARIANCE = Parameter(0, (0.0008, 0.002, 0.005, 0.012, 0.03))
"""Variance of the shot noise of white, for light in [0, 1]; it is proportional to the light."""
READ_SHARE = 0.004
"""Variance of the noise without light, as a share of that of white."""


def overexposure(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """More light than the sensor holds: multiplied in linear light and clipped."""
    return pixels_from_linear(linear_from_pixels(pixels) * np.float32(2 ** OVER_STOPS.at(strength)))


def underexposure(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Too little light: divided in linear light; what falls below a floor is black."""
    stops = UNDER_STOPS.at(strength)
    floor = np.float32(FLOOR * min(1.0, stops))
    light = linear_from_pixels(pixels) * np.float32(2**-stops)
    return pixels_from_linear((light - floor) / (1 - floor))


def vignetting(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Corners darker than the middle, by the fourth power of the cosine (a wide lens)."""
    height, width = pixels.shape[:2]
    rows = (np.arange(height, dtype=np.float32) * 2 + 1 - height)[:, np.newaxis]
    columns = np.arange(width, dtype=np.float32) * 2 + 1 - width
    distance = (rows**2 + columns**2) / np.float32(height**2 + width**2)  # 1 in the corner
    slope = 2 ** (CORNER_STOPS.at(strength) / 2) - 1  # squared tangent there
    gain = (1 + np.float32(slope) * distance) ** -2
    return pixels_from_linear(linear_from_pixels(pixels) * gain[..., np.newaxis])


def haze(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A bright veil of uneven thickness: scattering, after Koschmieder."""
    height, width = pixels.shape[:2]
    clouds = enlarged(random.random((5, 5), dtype=np.float32), height, width)
    thickness = -math.log(TRANSMISSION.at(strength)) * (0.7 + 0.6 * clouds)
    through = np.exp(-thickness)[..., np.newaxis]
    veil = np.array(AIRLIGHT, np.float32)
    return pixels_from_linear(veil + (linear_from_pixels(pixels) - veil) * through)


def sensor_noise(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Shot and read noise of a sensor under a Bayer mosaic, spread by bilinear demosaicing.

    Its variance is a straight line in the light (Poisson-Gaussian); dark tones suffer most once
    the light is coded as sRGB.
    """
    light = linear_from_pixels(pixels)
    white = PHOTON_VARIANCE.at(strength)
    sigma = np.sqrt((light + np.float32(READ_SHARE)) * np.float32(white))
    field = random.standard_normal(pixels.shape[:2], dtype=np.float32)
    noise: Values = demosaiced(sigma * field[..., np.newaxis])
    return pixels_from_linear(light + noise)
