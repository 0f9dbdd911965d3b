"""Baselines: restoration without training. A row that does not beat them has learnt nothing."""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing

from benchmark.data import Pair, Source, in_levels
from benchmark.data.sampling import fitted_indices
from benchmark.errors import DataError
from benchmark.evaluation import classical
from reports.schema import BASELINES

Restore = Callable[[NDArray[Any]], NDArray[np.uint8]]
"""From a degraded image `H W 3` to a restored image of the same size, in 8-bit levels."""

CLOSING_SIZE_PX: Final = 5


def identity(pairs: Iterable[Pair]) -> Restore:
    """Do nothing. Reads no pairs."""
    return lambda image: np.copy(in_levels(image))


def closing(pairs: Iterable[Pair]) -> Restore:
    """Close each channel with a 5 x 5 square (grey morphological closing): fills dark spots up to 4 px wide.

    Reads no pairs; the size is fixed. On 8 synthetic faces of 256 px, preset severe (identity: 31.9 dB, and
    20.4 dB in the spots), the means are

        size   gain in the spots   loss over the image
        3      2.2 dB              0.2 dB
        5      4.3 dB              1.8 dB
        7      5.7 dB              3.3 dB
        9      6.8 dB              4.3 dB

    and 5 is the largest that gains more than twice what it loses.
    """
    return lambda image: np.asarray(
        grey_closing(in_levels(image), size=(CLOSING_SIZE_PX, CLOSING_SIZE_PX, 1)), np.uint8
    )


def affine(pairs: Iterable[Pair]) -> Restore:
    """Apply one gain and one offset to each colour channel: those of least squared error over all pixels of `pairs`.

    This is what a global correction of exposure and tint can do. Reads one pair at a time.

    Raises:
        DataError: There are no pairs.
    """
    return partial(_apply_curves, [_curve(gain, offset) for gain, offset in fit_lines(pairs)])


def fit_lines(pairs: Iterable[Pair]) -> list[tuple[float, float]]:
    """Return the least-squares (gain, offset in 8-bit levels) from degraded to target for R, G, B.

    A channel with only one value in all degraded images has gain 1.

    Raises:
        DataError: There are no pairs.
    """
    sums = [[_sums(pair, channel) for channel in range(3)] for pair in pairs]
    if not sums:
        raise DataError("baseline 'affine' has no training pairs to fit on; give data.train at least one pair")
    return [_line(*map(sum, zip(*channel, strict=True))) for channel in zip(*sums, strict=True)]


def _sums(pair: Pair, channel: int) -> tuple[int, ...]:
    """Return the number of pixels and the sums of x, y, x^2 and x*y, with x degraded and y target."""
    x, y = (image[..., channel].astype(np.int32) for image in (in_levels(pair.degraded), pair.target))
    return (x.size, *(int(values.sum(dtype=np.int64)) for values in (x, y, x * x, x * y)))


def _line(count: int, x: int, y: int, xx: int, xy: int) -> tuple[float, float]:
    # Python's integers neither overflow nor cancel, however many pairs there are.
    spread = count * xx - x * x
    gain = (count * xy - x * y) / spread if spread else 1.0
    return gain, (y - gain * x) / count


def _curve(gain: float, offset: float) -> NDArray[np.uint8]:
    return np.rint(np.clip(gain * np.arange(256) + offset, 0, 255)).astype(np.uint8)


def _apply_curves(curves: Sequence[NDArray[np.uint8]], degraded: NDArray[Any]) -> NDArray[np.uint8]:
    levels = in_levels(degraded)
    return np.stack([curve[levels[..., channel]] for channel, curve in enumerate(curves)], axis=-1)


BASELINE_FITS: Final[Mapping[str, Callable[[Iterable[Pair]], Restore]]] = {
    **dict(zip(BASELINES, (identity, affine, closing), strict=True)),
    **{name: partial(classical.fit, name) for name in classical.DENOISERS},
}
"""Baselines by name: from the training pairs to the function that restores an image."""


def fitted_baseline(name: str, train: Source | None) -> Restore:
    """Return a baseline, fitted to the training pairs; to a sample of them where they are many (`fitted_indices`).

    Args:
        name: One of `BASELINE_FITS`.
        train: The pairs; None: there are none, for baselines that read none.

    Raises:
        DataError: There are no pairs, and the baseline needs some.
    """
    pairs = map(train.read, fitted_indices(len(train))) if train else ()
    return BASELINE_FITS[name](pairs)
