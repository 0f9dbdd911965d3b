"""Where a photograph of a face shows bare skin, from simple cues, and how large the face is.

Pictures are assumed to be aligned as in FFHQ: upright, eyes near (0.5 ± 0.125, 0.48), and a face half as wide as the
square in the middle of the picture; others need masks. The cues: colours like those of cheeks, nose and forehead;
unlike those around the face; not much darker than the skin nearby (brows, nostrils, frames); not rough (hair, beards);
joined to the middle of the face. Eyes, brows and mouth are left out by their place. Smooth beards and fringes of the
colour of the skin are sometimes mistaken for skin.
"""

# scipy.ndimage has no types; its results are given one here.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from benchmark.synthetic_faces.geometry import HALF_WIDTH_MM
from benchmark.synthetic_faces.raster import LUMINANCE, Field, blur, gaussian, resize, sigmoid, to_linear

# Places are in parts of the side of the central square, from its middle, right and down.
_HALF_WIDTH = 0.255
_SAMPLES = ((0.13, 0.08, 0.045), (0.10, 0.13, 0.04), (0.0, -0.12, 0.05), (0.0, 0.04, 0.03))  # centre and radius
_OVAL = (0.0, 0.045, 0.30, 0.415)  # centre and half axes, as all below
_EYE, _BROW, _MOUTH = (0.125, -0.02, 0.085, 0.05), (0.125, -0.085, 0.10, 0.035), (0.0, 0.215, 0.125, 0.062)

_WORK_PX = 256  # side of the square worked on: half a millimetre of the face
_DARKEST = 4e-3  # linear light; below, colour is noise
_STEPS = (0.08, 0.10, 0.30)  # of ln(R/G), ln(G/B), ln(luminance): what looks about alike
_CELLS = 12  # of a histogram, to either side of the typical skin
_UNEVEN = np.diag([1.0, 1.0, 6.0])  # steps², added to the spread of the samples: light falls off over a face
_REDDISH = 0.04  # least ln(R/G) of skin: the palest of 30 faces has 0.08, a picture in black and white 0
_LEAST_SKIN = 0.01  # share of the picture


@dataclass(frozen=True)
class _View:
    """A picture reduced to linear light, planes `3 H W`, with the places of its pixels."""

    linear: Field
    right: Field
    down: Field

    @property
    def side(self) -> int:
        return min(self.linear.shape[1:])

    @cached_property
    def luminance(self) -> Field:
        return np.tensordot(LUMINANCE, self.linear, 1)

    def distance(self, ellipse: tuple[float, float, float, float], mirror: int = 1) -> Field:
        """Return the distance from the centre of an ellipse, 1 on its edge."""
        right, down, half_width, half_height = ellipse
        return np.hypot((self.right - mirror * right) / half_width, (self.down - down) / half_height)


@dataclass(frozen=True)
class _Colours:
    """Colours of all pixels.

    Attributes:
        steps: `3 H W`, in steps from the typical skin.
        unlikeness: square of their distance from it, in standard widths.
        reddish: whether the typical colour can be skin.
    """

    steps: Field
    unlikeness: Field
    reddish: bool


def find_skin(image: Field) -> Field | None:
    """Return how much of each pixel is bare skin, `H W` in [0, 1], of an sRGB picture `H W 3` in [0, 1].

    None if there is no skin where an aligned face has it.
    """
    view = _reduced(image)
    colours = _colours(view)
    oval, bare = view.distance(_OVAL), _outside_features(view)
    likely = sigmoid((12 - colours.unlikeness) / 2) * sigmoid((1 - oval) / 0.02) * bare
    typical = _more_common_inside(colours.steps, likely * (oval < 0.7), (oval > 1.05) & (view.down < 0.3), oval)
    likely = sigmoid((16 - colours.unlikeness) / 2) * sigmoid((1.05 - oval) / 0.02) * bare * typical
    smooth = gaussian(likely * _not_darker(view, likely) * _not_rough(view), 0.006 * view.side)
    whole = smooth * gaussian(_joined(smooth > 0.5, oval < 0.65), 0.004 * view.side)
    skin = np.clip(resize(np.clip((whole - 0.3) / 0.35, 0, 1), (image.shape[0], image.shape[1])), 0, 1)
    return skin if colours.reddish and skin.mean() > _LEAST_SKIN else None


def aligned_scale(height: int, width: int) -> float:
    """Return the pixels in a millimetre of the face in an aligned picture."""
    return _HALF_WIDTH * min(height, width) / HALF_WIDTH_MM


def scale_of_mask(skin: Field) -> float:
    """Return the pixels in a millimetre of the one face of a skin mask: its width without thin parts is the face's."""
    filled = skin.sum(0)
    columns = np.flatnonzero(filled > 0.1 * filled.max())
    return float(columns[-1] - columns[0] + 1) / 2 / HALF_WIDTH_MM


def _reduced(image: Field) -> _View:
    height, width = image.shape[:2]
    factor = min(1.0, _WORK_PX / min(height, width))
    shape = (round(height * factor), round(width * factor))
    planes = [gaussian(resize(image[:, :, channel], shape), 0.004 * min(shape)) for channel in range(3)]
    linear = np.clip(to_linear(np.clip(np.stack(planes), 0, 1)), _DARKEST, 1)
    down, right = ((np.arange(n, dtype=np.float32) + 0.5 - n / 2) / min(shape) for n in shape)
    return _View(linear, *(np.ascontiguousarray(part) for part in np.broadcast_arrays(right[None, :], down[:, None])))


def _colours(view: _View) -> _Colours:
    red, green, blue = np.log(view.linear)
    features = np.stack([red - green, green - blue, np.log(view.luminance)])
    steps = features / np.array(_STEPS, np.float32)[:, None, None]
    samples = steps[:, np.any([view.distance((x, y, r, r), side) < 1 for x, y, r in _SAMPLES for side in (-1, 1)], 0)].T
    typical = np.median(samples, 0)
    for _ in range(3):  # leave out what lies on the skin: hair, frames
        off = np.abs(samples - typical).sum(1)
        samples = samples[off < 2.5 * np.median(off) + 0.5]
        typical = samples.mean(0)
    steps = steps - typical[:, None, None]
    inverse = np.linalg.inv(np.cov(samples.T) + _UNEVEN)
    unlikeness = np.einsum("ihw,ij,jhw->hw", steps, inverse, steps, optimize=True)
    return _Colours(steps, unlikeness, bool(typical[0] * _STEPS[0] > _REDDISH))


def _outside_features(view: _View) -> Field:
    """Return 1 everywhere but on eyes, brows (weaker: their places vary) and mouth."""
    features = [sigmoid((1 - view.distance(_MOUTH)) / 0.06)]
    for side in (-1, 1):
        features.append(sigmoid((1 - view.distance(_EYE, side)) / 0.06))
        features.append(0.9 * sigmoid((1 - view.distance(_BROW, side)) / 0.08))
    return np.prod([1 - feature for feature in features], 0)


def _more_common_inside(steps: Field, inside: Field, outside: NDArray[np.bool_], oval: Field) -> Field:
    """Return, by Bayes' rule, how likely a pixel's colour is that of the inside and not of the outside, in [0, 1]."""
    count = 2 * _CELLS + 1
    cells = np.clip(np.rint(steps) + _CELLS, 0, count - 1).astype(np.intp)
    flat = np.ravel_multi_index(tuple(cells), (count, count, count))

    def share(weights: Field) -> Field:
        histogram = np.bincount(flat.ravel(), weights.ravel(), count**3).reshape(count, count, count)
        smooth = np.asarray(gaussian_filter(histogram, 0.8))
        return (smooth / (smooth.sum() + 1e-9)).ravel()[flat]

    prior = np.clip(1.3 - oval, 0.02, 0.9)
    skin, other = share(inside) * prior, share(outside.astype(np.float32)) * (1 - prior)
    return sigmoid((skin / (skin + other + 1e-7) - 0.5) / 0.1)


def _not_darker(view: _View, likely: Field) -> Field:
    nearby = 0.05 * view.side
    usual = blur(view.luminance * likely, nearby) / (blur(likely, nearby) + 1e-3) + 1e-3
    return sigmoid((view.luminance / usual - 0.52) / 0.05)


def _not_rough(view: _View) -> Field:
    brightness = gaussian(np.log(view.luminance), 0.003 * view.side)
    slope = np.hypot(np.gradient(brightness, axis=0), np.gradient(brightness, axis=1))
    roughness = gaussian(slope, 0.008 * view.side) * view.side / _WORK_PX
    return sigmoid((0.17 - roughness) / 0.012)


def _joined(skin: NDArray[np.bool_], core: NDArray[np.bool_]) -> Field:
    """Return the parts of the skin that reach the middle of the face, without specks."""
    numbers = np.zeros(skin.shape, np.int32)
    label(skin, output=numbers)
    sizes = np.bincount(numbers.ravel())
    kept = [number for number in np.unique(numbers[core & skin]) if sizes[number] > 0.002 * skin.size]
    return np.isin(numbers, kept).astype(np.float32)
