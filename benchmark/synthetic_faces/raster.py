"""Fields of pixels: colour spaces and pigments, noise, smoothing, and layers laid over each other.

A field is `H W` float32. Pictures are planes `3 H W` of linear light: with the channels first, a field `H W` multiplies
all three without a copy. Pigments are added as optical density, -ln(linear RGB), which multiplies reflectance, so pores
and shading survive under a spot as they do in skin.

Smooth fields are made small and enlarged: a Gaussian of 1.5 px or more on the small grid leaves nothing that a bicubic
enlargement could lose, and costs a fraction.
"""

# scipy.ndimage has no types; its results are given one here.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

Field = NDArray[np.floating[Any]]
"""`H W`, or planes `3 H W`; float32 throughout, though numpy's types cannot say so of a product with a float."""
Window = tuple[slice, slice]
"""Rows and columns of a part of a picture."""


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
_RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)  # ITU-R BT.709 primaries, D65
_FINEST_SIGMA_PX = 1.5  # of a Gaussian on a reduced grid
_MARGIN_CELLS = 4  # of noise around what is shown: filters wrap, and opposite edges must not look alike


@dataclass(frozen=True)
class Layer:
    """Something to lay over the picture in a window: planes `3 H W` (or one colour, `3 1 1`) and opacity `H W`."""

    window: Window
    rgb: Field
    cover: Field


def to_linear(srgb: Field) -> Field:
    """Return the linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    curve = ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= 0.04045, srgb / 12.92, curve)


def to_srgb(linear: Field) -> Field:
    """Return the sRGB values in [0, 1] of linear light, which is clipped to [0, 1]."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def lab_to_linear(lab: ArrayLike) -> Field:
    """Return linear RGB (3,) of a CIE Lab colour under D65, at least 1e-4 so that its optical density is finite."""
    lightness, a, b = np.asarray(lab, np.float64)
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D65_WHITE
    return np.clip(_XYZ_TO_RGB @ xyz, 1e-4, 1).astype(np.float32)


def linear_to_lab(linear: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return CIE Lab under D65 of linear RGB, `... 3` each; equal channels are exactly grey."""
    scaled = np.asarray(linear, np.float64) @ _RGB_TO_XYZ.T / _RGB_TO_XYZ.sum(axis=1)
    f = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    lightness, a, b = 116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])
    return np.stack([lightness, a, b], axis=-1)


def flat(colour: Field) -> Field:
    """Return a colour (3,) as planes `3 1 1`, ready to multiply a field."""
    return colour[:, None, None]


def over(below: Field, above: Field, alpha: Field) -> Field:
    """Return `above` over `below`, with opacity `alpha` in [0, 1]."""
    return below + (above - below) * alpha


def composite(picture: Field, *layers: Layer) -> Field:
    """Return a picture, planes `3 H W`, with layers over it, the first one lowest."""
    result = picture.copy()
    for layer in layers:
        result[:, *layer.window] = over(result[:, *layer.window], layer.rgb, layer.cover)
    return result


def sigmoid(x: Field) -> Field:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def gaussian(field: Field, sigma_px: float | tuple[float, float], mode: str = "reflect") -> Field:
    """Smooth a field at full resolution; `sigma_px` may differ for rows and columns."""
    return np.asarray(gaussian_filter(field, sigma_px, mode=mode), np.float32)


def sample(table: Field, row: Field, column: Field) -> Field:
    """Interpolate a table linearly between its cells; both coordinates wrap."""
    return np.asarray(map_coordinates(table, np.stack([row, column]), order=1, mode="wrap"), np.float32)


def resize(field: Field, shape: tuple[int, int]) -> Field:
    """Resize a field: bicubic, without aliasing if it shrinks."""
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float32)


def blur(field: Field, sigma_px: float) -> Field:
    """Blur a field by a Gaussian; a wide one is computed on a reduced grid."""
    factor = int(sigma_px / _FINEST_SIGMA_PX)
    if factor <= 1:
        return gaussian(field, sigma_px)
    height, width = field.shape
    small = resize(field, (max(1, height // factor), max(1, width // factor)))
    return resize(gaussian(small, sigma_px / factor), (height, width))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> Field:
    """Draw a Gaussian random field with correlation length `sigma_px`, mean 0 and standard deviation 1."""
    factor = max(1, int(sigma_px / _FINEST_SIGMA_PX))
    small = gaussian(_white_noise(rng, shape, factor), sigma_px / factor, mode="wrap")
    return _standardised(_enlarged(small, shape, factor))


def bandpass(rng: np.random.Generator, shape: tuple[int, int], fine_px: float, coarse_px: float) -> Field:
    """Draw noise between two scales (difference of two Gaussians), mean 0 and standard deviation 1."""
    factor = max(1, int(fine_px / _FINEST_SIGMA_PX))
    noise = _white_noise(rng, shape, factor)
    band = gaussian(noise, fine_px / factor, "wrap") - gaussian(noise, coarse_px / factor, "wrap")
    return _standardised(_enlarged(band, shape, factor))


def _white_noise(rng: np.random.Generator, shape: tuple[int, int], factor: int) -> Field:
    if factor == 1:
        return rng.standard_normal(shape, np.float32)
    margin = 2 * _MARGIN_CELLS
    return rng.standard_normal((shape[0] // factor + 1 + margin, shape[1] // factor + 1 + margin), np.float32)


def _enlarged(small: Field, shape: tuple[int, int], factor: int) -> Field:
    if factor == 1:
        return small
    near, (height, width) = _MARGIN_CELLS, shape
    box = (near, near, near + width / factor, near + height / factor)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC, box), np.float32)


def _standardised(field: Field) -> Field:
    return (field - field.mean()) / (field.std() + np.float32(1e-9))
