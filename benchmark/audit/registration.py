"""Registration: the sub-pixel shift between the images of a pair, by phase correlation.

The cross-power spectrum of the windowed luminances, each frequency at unit size (so that gain, offset and spots, which
are local, hardly count) and weighted down towards high frequencies (where noise rules), has its peak at the shift. The
peak is found on whole pixels by FFT and then on a grid of 1/20 pixel by a matrix product around it (Guizar-Sicairos,
Thurman and Fienup 2008), with a parabola through the last three points.

On drawn faces with the severe preset's spots the error is below 0.05 px for shifts from 0 to 30 px, so that shifts from
`DETECTABLE_PX` on are detected.

Strong blur, resampling or noise leave phases that mean nothing, and peaks of up to a pixel and more where nothing is
shifted. So a shift must also show in the correlation of edges, which counts a frequency by what it has in both images:
moved back, edges have to agree better by `CERTAIN` times what chance makes of the rest, which is what is left of the
degraded image without its share of the target. On drawn faces it was 6 times and more for true shifts from 0.16 px,
through severe spots, and for 0.5 px under noise of sigma 50; where nothing is shifted, at most 2 times, resampled to a
quarter and back, blurred or under noise.
"""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
DETECTABLE_PX: Final = 0.15
"""The smallest shift that is reported: three times the largest error measured."""
COHERENT: Final = 0.15
"""Unrelated faces reach 0.12 at 512 px, pairs with the severe preset 0.41; 1 is the same image twice."""
CERTAIN: Final = 4.0
"""Standard deviations."""
MIN_SIDE_PX: Final = 32
_LARGEST_SIDE_PX: Final = 1024
"""Of larger images the middle is compared."""
_CUTOFF: Final = 0.125
"""Standard deviation of the weight in cycles per pixel."""
_UPSAMPLING: Final = 20
_REACH_PX: Final = 0.75


@dataclass(frozen=True)
class Shift:
    """By how many pixels the degraded image lies below and right of its target.

    `coherence`: from 0 to 1. `certainty`: how much better edges agree moved back, in standard deviations of chance.
    """

    down_px: float
    right_px: float
    coherence: float
    certainty: float

    @property
    def is_seen(self) -> bool:
        """Whether the images are shifted, by more than the method's error."""
        return self.same_picture and self.pixels >= DETECTABLE_PX and self.certainty >= CERTAIN

    @property
    def pixels(self) -> float:
        """The length of the shift."""
        return float(np.hypot(self.down_px, self.right_px))

    @property
    def same_picture(self) -> bool:
        """Whether the images agree enough for the shift to mean anything."""
        return self.coherence >= COHERENT


def find_shift(degraded: NDArray[np.uint8], target: NDArray[np.uint8]) -> Shift | None:
    """Return the shift between two images `H W 3` of one size; None if a side is below 32 px or an image is flat."""
    if min(degraded.shape[:2]) < MIN_SIDE_PX:
        return None
    images = [_windowed(image) for image in (degraded, target)]
    if any(float(np.abs(image).max()) < 1 for image in images):
        return None
    height, width = images[0].shape
    down, right = np.fft.fftfreq(height).astype(np.float32), np.fft.rfftfreq(width).astype(np.float32)
    squared = down[:, None] ** 2 + right[None] ** 2
    weight = np.exp(-squared / (2 * _CUTOFF**2)) * (squared > 0)
    spectra = [np.asarray(fft.rfft2(image)) for image in images]
    phases = _phases(spectra[0] * np.conj(spectra[1])) * weight
    surface = np.asarray(fft.irfft2(phases, (height, width)))
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    start = (_signed(int(row), height), _signed(int(column), width))
    peak = _refined(phases, down, right, width, start)
    # Every frequency right of the first column stands for itself and its mirror image.
    counted = weight * _mirrored(width, len(right))
    turns = np.exp(2j * np.pi * (peak[0] * down[:, None] + peak[1] * right[None]))
    certainty = _certainty(spectra[0] * turns, spectra[1], turns, counted * squared)
    return Shift(peak[0], peak[1], peak[2] / float(counted.sum()), certainty)


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luminance (BT.601) of an image `H W 3` as `H W`, in 8-bit levels."""
    return image.astype(np.float32) @ _LUMA


def _certainty(back: NDArray[Any], target: NDArray[Any], turns: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return how much better edges agree moved `back` than as they lie, in standard deviations of chance.

    Args:
        back: spectrum of the degraded image, moved back.
        target: spectrum of the target.
        turns: phase factors of the shift.
        weight: of each frequency; includes its square, so that gradients are compared.

    Chance is what `back` contains besides its share of the target, with random phases.
    """
    agreement = weight * back * np.conj(target)
    gained = float(np.real((agreement * (1 - np.conj(turns))).sum()))
    share = np.real(agreement.sum()) / (weight * np.abs(target) ** 2).sum()
    rest = back - share * target
    chance = float(np.sqrt(np.square(weight * np.abs(target * (1 - turns) * rest)).sum() / 2))
    return gained / chance if chance > 0 else 0.0


def _windowed(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luminance of the middle, minus its mean, faded out at the borders, which would look like edges."""
    top, left = (max(side - _LARGEST_SIDE_PX, 0) // 2 for side in image.shape[:2])
    values = luminance(image[top : top + _LARGEST_SIDE_PX, left : left + _LARGEST_SIDE_PX])
    rows, columns = (np.hanning(side + 2)[1:-1].astype(np.float32) for side in values.shape)
    return (values - values.mean()) * rows[:, None] * columns[None]


def _phases(spectrum: NDArray[Any]) -> NDArray[Any]:
    size = np.abs(spectrum)
    return np.where(size > 1e-6 * size.max(), spectrum / np.maximum(size, 1e-20), 0)


def _signed(index: int, side: int) -> int:
    return index - side if index > side // 2 else index


def _mirrored(width: int, columns: int) -> NDArray[np.float32]:
    times = np.full(columns, 2, np.float32)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    return times


def _refined(
    phases: NDArray[Any], down: NDArray[Any], right: NDArray[Any], width: int, start: tuple[int, int]
) -> tuple[float, float, float]:
    """Return down, right and height of the peak near the whole pixels `start`."""
    grid = np.arange(-_REACH_PX, _REACH_PX + 1e-9, 1 / _UPSAMPLING)
    before = np.exp(2j * np.pi * np.outer(start[0] + grid, down))
    after = np.exp(2j * np.pi * np.outer(right, start[1] + grid)) * _mirrored(width, len(right))[:, None]
    surface = (before @ phases @ after).real
    row, column = (int(index) for index in np.unravel_index(int(surface.argmax()), surface.shape))
    down_px = start[0] + float(grid[row]) + _vertex(surface[:, column], row) / _UPSAMPLING
    right_px = start[1] + float(grid[column]) + _vertex(surface[row], column) / _UPSAMPLING
    return down_px, right_px, float(surface.max())


def _vertex(values: NDArray[Any], top: int) -> float:
    """Return the distance from the top to the vertex of the parabola through it and its neighbours, in grid steps."""
    if not 0 < top < len(values) - 1:
        return 0.0
    before, at, after = (float(value) for value in values[top - 1 : top + 2])
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend else 0.0
