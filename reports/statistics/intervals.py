"""How sure a difference between two rows is: an interval that counts the chance of seeds and of images, and its word.

Scores have shape (seeds, images); every row has the same seeds and the same test images. A row's difference to the base
has a seed part, an image part and a remainder, which stands in both parts and is taken off once; the degrees of freedom
are Satterthwaite's (1946, Biometrics Bulletin 2). The word comes from the interval alone, so they cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.statistics.seed_noise import Floats, seed_noise

Word = Literal["gain", "loss", "equivalent", "no gain", "negligible gain", "negligible loss", "inconclusive"]

ERROR_RATE = 0.05
"""Chance that any of the intervals of one table misses its true difference."""
FEWEST_SEEDS = 3
"""Two seeds do not show whether rows are equally noisy, and then their intervals are too short."""
ENOUGH_SEEDS = 5
"""From here on a row may stand on its own seeds; below, it wants a pool."""
FEWEST_POOLED = 4
"""Rows, the base among them, of a pool below `ENOUGH_SEEDS`."""
_MOST_SEEDS = 100


@dataclass(frozen=True)
class Estimate:
    """A row minus the base, in the unit of the score."""

    difference: float
    low: float
    high: float
    """Ends of the interval, simultaneous over the comparisons it was made for."""
    degrees_of_freedom: float
    improved_share: float
    """Share of (seed, image) pairs where the row is higher: a description, not a test."""
    seeds: int
    images: int
    pooled: int
    """Number of rows, the base among them, whose seeds tell the seed noise: 2 is the pair alone."""
    seeds_needed: int | None
    """Seeds for a half-width of the margin with these images; None where more images are needed instead."""

    @property
    def resolution(self) -> float:
        """Half the width of the interval: smaller differences cannot be told from none."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Differences:
    """Means of rows minus base and their noise; all arrays have shape (..., rows)."""

    mean: Floats
    seed_variance: Floats
    seed_degrees: Floats
    image_variance: Floats
    remainder: Floats
    """What the two variances both hold."""
    seeds: int
    images: int
    pooled: NDArray[np.int64]

    @property
    def variance(self) -> Floats:
        """Of the mean; never below either part."""
        both = self.seed_variance + self.image_variance
        return np.maximum(both - self.remainder, np.maximum(self.seed_variance, self.image_variance))

    @property
    def degrees_of_freedom(self) -> Floats:
        """Satterthwaite's, at least 1."""
        return satterthwaite(self.variance, self.seed_variance, self.seed_degrees, self.image_variance, self.images)

    def half_width(self, comparisons: int) -> Floats:
        """Of intervals that hold together over so many comparisons (Bonferroni)."""
        return quantile(comparisons, self.degrees_of_freedom) * np.sqrt(self.variance)


def compare(
    scores: Mapping[str, Floats],
    base: str,
    *,
    branches: Mapping[str, str],
    margin: float,
    comparisons: int | None = None,
) -> dict[str, Estimate]:
    """Every row other than `base` against it.

    Args:
        scores: row -> scores of shape (seeds, images), the same seeds and images in every row, in the same order.
        branches: row -> where it leaves the base; rows of one branch pool their seed noise, so they must share no
            training after they left it.
        margin: smallest difference that matters, in the scores' unit.
        comparisons: over how many intervals the error rate holds; all rows if None.

    Raises: `ValueError` for unequal shapes, and below two seeds or two images.
    """
    _check(scores, base)
    rows = [row for row in scores if row != base]
    number = max(comparisons or len(rows), 1)
    found: dict[str, Estimate] = {}
    for branch in dict.fromkeys(branches[row] for row in rows):
        members = [row for row in rows if branches[row] == branch]
        found |= _branch(scores, base, members, margin, number)
    return {row: found[row] for row in rows}


def differences(scores: Floats) -> Differences:
    """The rows of one branch against the base.

    Args: scores: shape (..., 1 + rows, seeds, images), base first.
    """
    seeds, images = scores.shape[-2:]
    minus_base = scores[..., 1:, :, :] - scores[..., :1, :, :]
    by_seed, by_image = minus_base.mean(-1), minus_base.mean(-2)
    mean = by_seed.mean(-1)
    rest = minus_base - by_seed[..., :, None] - by_image[..., None, :] + mean[..., None, None]
    noise = seed_noise(scores.mean(-1))
    return Differences(
        mean=mean,
        seed_variance=noise.variance,
        seed_degrees=noise.degrees_of_freedom,
        image_variance=by_image.var(-1, ddof=1) / images,
        remainder=(rest**2).sum((-2, -1)) / ((seeds - 1) * (images - 1)) / (seeds * images),
        seeds=seeds,
        images=images,
        pooled=noise.pooled,
    )


def word(low: float, high: float, margin: float) -> Word:
    """What the interval of a gain (positive is better) says, given the smallest difference that matters."""
    if low > 0:
        return "negligible gain" if high < margin else "gain"
    if high < 0:
        return "negligible loss" if low > -margin else "loss"
    if -margin < low and high < margin:
        return "equivalent"
    return "no gain" if high < margin else "inconclusive"


def is_covered(seeds: int, pooled: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether intervals over so many seeds and pooled rows were found to hold what they promise (see `coverage`)."""
    return np.full(pooled.shape, seeds >= ENOUGH_SEEDS) | ((seeds >= FEWEST_SEEDS) & (pooled >= FEWEST_POOLED))


def quantile(comparisons: int, degrees_of_freedom: Floats) -> Floats:
    """Of Student's t, two-sided, with the error rate shared out over the comparisons."""
    return cast(Floats, stats.t.ppf(1 - ERROR_RATE / (2 * comparisons), degrees_of_freedom))


def satterthwaite(total: Floats, seed: Floats, seed_degrees: Floats, image: Floats, images: int) -> Floats:
    """Degrees of freedom of a variance with a seed part and an image part."""
    spread = seed**2 / seed_degrees + image**2 / (images - 1)
    return np.maximum(total**2 / np.maximum(spread, np.finfo(np.float64).tiny), 1.0)


def _check(scores: Mapping[str, Floats], base: str) -> None:
    shape = scores[base].shape
    wrong = [row for row, values in scores.items() if values.shape != shape]
    if wrong:
        raise ValueError(f"{wrong[0]}: scores have shape {scores[wrong[0]].shape}, those of {base} {shape}")
    if len(shape) != 2 or min(shape) < 2:
        raise ValueError(f"scores have shape {shape}; at least 2 seeds and 2 images are needed")


def _branch(
    scores: Mapping[str, Floats], base: str, members: Sequence[str], margin: float, comparisons: int
) -> dict[str, Estimate]:
    found = differences(np.stack([scores[base], *(scores[row] for row in members)]))
    half, degrees = found.half_width(comparisons), found.degrees_of_freedom
    return {
        row: Estimate(
            difference=float(found.mean[place]),
            low=float(found.mean[place] - half[place]),
            high=float(found.mean[place] + half[place]),
            degrees_of_freedom=float(degrees[place]),
            improved_share=float((scores[row] > scores[base]).mean()),
            seeds=found.seeds,
            images=found.images,
            pooled=int(found.pooled[place]),
            seeds_needed=_seeds_needed(found, place, margin, comparisons),
        )
        for place, row in enumerate(members)
    }


def _seeds_needed(found: Differences, place: int, margin: float, comparisons: int) -> int | None:
    """Seeds, at least those there are, for a half-width of the margin, if noise stays as it was."""
    seeds = np.arange(found.seeds, _MOST_SEEDS + 1)
    seed = found.seed_variance[place] * found.seeds / seeds
    remainder = found.remainder[place]
    image = max(found.image_variance[place] - remainder, 0.0) + remainder * found.seeds / seeds
    total = np.maximum(seed + image - remainder * found.seeds / seeds, np.maximum(seed, image))
    degrees = satterthwaite(total, seed, found.seed_degrees[place] + seeds - found.seeds, image, found.images)
    enough = seeds[quantile(comparisons, degrees) * np.sqrt(total) <= margin]
    return int(enough[0]) if len(enough) else None
