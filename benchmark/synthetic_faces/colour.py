"""Colour of skin and things: sRGB, linear light, CIE Lab anchors and optical densities.

Pictures are worked on as planes `3 H W` of linear light: with the channels first, a field `H W` multiplies all three
without a copy. Pigments are added as optical density, -ln(linear RGB), which multiplies reflectance, so pores and
shading survive under a spot as they do in skin.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.floating[Any]]
"""`H W`, or planes `3 H W`; float32 throughout, though numpy's types cannot say so of a product with a float."""


def _vector(*values: float) -> Field:
    return np.array(values, np.float32)


# Directions in optical density. The first two: Tsumura et al., "Independent-component analysis of skin color image".
MELANIN = _vector(0.4143, 0.3570, 0.8372)
HAEMOGLOBIN = _vector(0.2988, 0.6838, 0.6657)
# An inflamed lesion absorbs less red than the pure direction, which came out too brown (fits a measured pair).
INFLAMED = _vector(0.14, 0.66, 0.58)
# Dense eumelanin (moles, comedones) is nearly neutral; with MELANIN moles turn olive.
EUMELANIN = _vector(0.75, 0.88, 1.0)

LUMINANCE = _vector(0.2126, 0.7152, 0.0722)
_D65_WHITE = np.array([0.95047, 1.0, 1.08883])
_XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def to_linear(srgb: Field) -> Field:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    curve = ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= 0.04045, srgb / 12.92, curve)


def to_srgb(linear: Field) -> Field:
    """sRGB values in [0, 1] of linear light, which is clipped to [0, 1]."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def lab_to_linear(lab: ArrayLike) -> Field:
    """Linear RGB (3,) of one CIE Lab colour under D65, at least 1e-4 so that its optical density is finite."""
    lightness, a, b = np.asarray(lab, np.float64)
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D65_WHITE
    return np.clip(_XYZ_TO_RGB @ xyz, 1e-4, 1).astype(np.float32)


def flat(colour: Field) -> Field:
    """A colour (3,) as planes `3 1 1`, ready to multiply a field."""
    return colour[:, None, None]


def over(below: Field, above: Field, alpha: Field) -> Field:
    """`above` laid over `below` with opacity `alpha` in [0, 1]."""
    return below + (above - below) * alpha
