"""Random and smoothed scalar fields `H W`, float32.

Whatever is smooth is made small and enlarged: a Gaussian of 1.5 px or more on the small grid leaves nothing that a
bicubic enlargement could lose, and costs a fraction.
"""

# scipy.ndimage has no types; its results are given one here, in the only file that imports it.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from benchmark.synthetic_faces.colour import Field

_FINEST_SIGMA_PX = 1.5  # of a Gaussian on a reduced grid
_MARGIN_CELLS = 4  # of noise around what is shown: filters wrap, and opposite edges must not look alike


def sigmoid(x: Field) -> Field:
    """1 / (1 + exp(-x)) without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def gaussian(field: Field, sigma_px: float | tuple[float, float], mode: str = "reflect") -> Field:
    """Field smoothed at full resolution; `sigma_px` may differ for rows and columns."""
    return np.asarray(gaussian_filter(field, sigma_px, mode=mode), np.float32)


def sample(table: Field, row: Field, column: Field) -> Field:
    """Values of a table between its cells, linear; both coordinates wrap."""
    return np.asarray(map_coordinates(table, np.stack([row, column]), order=1, mode="wrap"), np.float32)


def resize(field: Field, shape: tuple[int, int]) -> Field:
    """Field at another size: bicubic, without aliasing where it shrinks."""
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float32)


def blur(field: Field, sigma_px: float) -> Field:
    """Gaussian blur; a wide one is computed on a reduced grid."""
    factor = int(sigma_px / _FINEST_SIGMA_PX)
    if factor <= 1:
        return gaussian(field, sigma_px)
    height, width = field.shape
    small = resize(field, (max(1, height // factor), max(1, width // factor)))
    return resize(gaussian(small, sigma_px / factor), (height, width))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> Field:
    """Gaussian random field with correlation length `sigma_px`, mean 0 and standard deviation 1 over the frame."""
    factor = max(1, int(sigma_px / _FINEST_SIGMA_PX))
    small = gaussian(_white_noise(rng, shape, factor), sigma_px / factor, mode="wrap")
    return _standardised(_enlarged(small, shape, factor))


def bandpass(rng: np.random.Generator, shape: tuple[int, int], fine_px: float, coarse_px: float) -> Field:
    """Noise between two scales (difference of two Gaussians), mean 0 and standard deviation 1 over the frame."""
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
