"""How sure a difference between two rows is: its interval over seeds and test images, and the verdict.

Scores have the shape (seeds, images). All rows have the same seeds and the same test images. The variance of a
difference has a seed part and an image part. A remainder is contained in both, so it is subtracted once. The degrees of
freedom follow Satterthwaite (1946, Biometrics Bulletin 2). The verdict depends on the interval alone, so the two cannot
contradict each other. tools/coverage_study.py measures how often the intervals hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reports.statistics.critical_values import HIGHEST_CORRELATION
from reports.statistics.error_spending import Analyses, family_limits
from reports.statistics.precision import Precision, combined
from reports.statistics.seed_noise import Floats, SeedNoise, base_variance, seed_noise

Verdict = Literal["gain", "loss", "equivalent", "no gain", "negligible gain", "negligible loss", "inconclusive"]

ERROR_RATE = 0.05
"""Probability that any interval or rank of a whole report is false; also that of an interval that holds alone."""
DIFFERENCE_ERROR_RATE = 0.04
"""The part of the differences and claims."""
RANK_ERROR_RATE = ERROR_RATE - DIFFERENCE_ERROR_RATE
"""The part of the ranks."""
FEWEST_SEEDS = 3
"""Two seeds do not show whether rows are equally noisy, so intervals over two seeds are too short."""
ENOUGH_SEEDS = 5
"""From this number of seeds on, a row needs no pooled seed noise."""
FEWEST_POOLED = 4
"""Rows, base included, that a pool needs below `ENOUGH_SEEDS`."""


@dataclass(frozen=True)
class Estimate:
    """A row minus the base, in the unit of the score."""

    difference: float
    low: float
    high: float
    """Ends of the interval. It holds together with the other comparisons it was made for."""
    pooled: int
    """Rows, base included, from which the seed noise is estimated. 2 is the pair alone."""
    precision: Precision
    """What the width of the interval comes from."""

    @property
    def seeds(self) -> int:
        """Seeds of each of the two rows."""
        return self.precision.seeds

    @property
    def resolution(self) -> float:
        """Half the width of the interval. Smaller differences cannot be distinguished from zero."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Differences:
    """Means of rows minus base, with their noise. All arrays have the shape (..., rows)."""

    mean: Floats
    seed_noise: SeedNoise
    image_variance: Floats
    image_variance_of_base: Floats
    """The part of the image variance that is the base's, which all rows share."""
    remainder: Floats
    """The variance that seed and image part both contain."""
    seeds: int
    images: int

    @property
    def share_of_base(self) -> Floats:
        """Which share of the variance of a difference is the base's, 0 to 1."""
        of_base = self.seed_noise.of_base + np.maximum(self.image_variance_of_base - self.remainder / 2, 0.0)
        variance, _ = combined(
            self.seed_noise.variance,
            self.seed_noise.degrees_of_freedom,
            self.image_variance,
            self.remainder,
            self.images,
        )
        return np.clip(of_base / variance, 0.0, HIGHEST_CORRELATION)

    def half_width(
        self, comparisons: int, correlation: Floats | float, error_rate: float, analyses: Analyses | None = None
    ) -> Floats:
        """Return half-widths of intervals that hold together over this many comparisons.

        Args:
            comparisons: Number of intervals.
            correlation: `mean_correlation` of the differences; 0 is on the safe side.
            error_rate: Probability that any of the intervals misses its true difference.
            analyses: The planned ones, over which the error rate is spent; None: this is the only one.
        """
        variance, degrees_of_freedom = combined(
            self.seed_noise.variance,
            self.seed_noise.degrees_of_freedom,
            self.image_variance,
            self.remainder,
            self.images,
        )
        shared = np.asarray(correlation)[..., None]
        limits = family_limits(self.seeds, analyses, comparisons, shared, degrees_of_freedom, error_rate)
        return limits * np.sqrt(variance)


def compare(
    scores: Mapping[str, Floats],
    base: str,
    *,
    noise_groups: Mapping[str, str],
    comparisons: int,
    error_rate: float = ERROR_RATE,
    has_family: bool = True,
    analyses: Analyses | None = None,
) -> dict[str, Estimate]:
    """Compare every row with the base row.

    Args:
        scores: Row -> scores of shape (seeds, images). All rows have the same seeds and images in the same order.
        base: The row to compare with.
        noise_groups: Row -> name of its seed-noise group. The rows of a group pool their seed noise, so they must share
            no training after they leave the base.
        comparisons: Number of intervals that the error rate holds for, at least 1. These may be more than the rows.
        error_rate: Probability that any of these intervals misses its true difference.
        has_family: Whether the other intervals are of differences to this base, too; else they count as uncorrelated.
        analyses: The planned ones, over which the error rate is spent; None: this is the only one.

    Raises:
        ValueError: Shapes differ, or there are fewer than two seeds or two images.
    """
    shapes = {row: values.shape for row, values in scores.items()}
    if len(set(shapes.values())) > 1 or min(shapes[base]) < 2:
        raise ValueError(f"scores need the same shape in all rows, at least 2 seeds and 2 images; got {shapes}")
    rows = [row for row in scores if row != base]
    members = {
        name: [row for row in rows if noise_groups[row] == name]
        for name in dict.fromkeys(noise_groups[row] for row in rows)
    }
    groups = {
        name: differences(np.stack([scores[base], *(scores[row] for row in names)])) for name, names in members.items()
    }
    correlation = float(mean_correlation(list(groups.values()), comparisons)) if has_family else 0.0
    estimates: dict[str, Estimate] = {}
    for name, group in groups.items():
        half = group.half_width(comparisons, correlation, error_rate, analyses)
        noise = group.seed_noise
        for index, row in enumerate(members[name]):
            estimates[row] = Estimate(
                difference=float(group.mean[index]),
                low=float(group.mean[index] - half[index]),
                high=float(group.mean[index] + half[index]),
                pooled=int(noise.pooled[index]),
                precision=Precision(
                    seed_variance=float(noise.variance[index]),
                    seed_degrees=float(noise.degrees_of_freedom[index]),
                    image_variance=float(group.image_variance[index]),
                    remainder=float(group.remainder[index]),
                    seeds=group.seeds,
                    images=group.images,
                    comparisons=comparisons,
                    correlation=correlation,
                    error_rate=error_rate,
                    analyses=analyses,
                ),
            )
    return {row: estimates[row] for row in rows}


def differences(scores: Floats) -> Differences:
    """Return the differences of one seed-noise group to the base.

    Args:
        scores: Shape (..., 1 + rows, seeds, images), base first.
    """
    seeds, images = scores.shape[-2:]
    minus_base = scores[..., 1:, :, :] - scores[..., :1, :, :]
    by_seed, by_image = minus_base.mean(-1), minus_base.mean(-2)
    mean = by_seed.mean(-1)
    residual = minus_base - by_seed[..., :, None] - by_image[..., None, :] + mean[..., None, None]
    image_variance = by_image.var(-1, ddof=1) / images
    image_means = scores.mean(-2)
    of_base = base_variance(image_means, np.ones(image_means.shape[:-1], dtype=bool)) / images
    return Differences(
        mean=mean,
        seed_noise=seed_noise(scores.mean(-1)),
        image_variance=image_variance,
        image_variance_of_base=np.minimum(of_base[..., None], image_variance),
        remainder=(residual**2).sum((-2, -1)) / ((seeds - 1) * (images - 1)) / (seeds * images),
        seeds=seeds,
        images=images,
    )


def mean_correlation(groups: Sequence[Differences], comparisons: int) -> Floats:
    """Return the mean correlation between two of the differences of a family.

    Two differences of one seed-noise group correlate by what their base contributes to both. Others of the family, of
    another group or another kind, count as uncorrelated, which is on the safe side.
    """
    total = np.zeros(groups[0].mean.shape[:-1])
    for group in groups:
        loading = np.sqrt(group.share_of_base)
        total = total + loading.sum(-1) ** 2 - (loading**2).sum(-1)
    rows = max(comparisons, sum(group.mean.shape[-1] for group in groups))
    return total / max(rows * (rows - 1), 1)


def verdict_of(low: float, high: float, equivalence_margin: float) -> Verdict:
    """Return the verdict of the interval of a gain, where positive is better."""
    if low > 0:
        return "negligible gain" if high < equivalence_margin else "gain"
    if high < 0:
        return "negligible loss" if low > -equivalence_margin else "loss"
    if -equivalence_margin < low and high < equivalence_margin:
        return "equivalent"
    return "no gain" if high < equivalence_margin else "inconclusive"


def is_covered(seeds: int, pooled: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell whether intervals over so many seeds and pooled rows keep their error rate (see tools/coverage_study.py)."""
    return np.full(pooled.shape, seeds >= ENOUGH_SEEDS) | ((seeds >= FEWEST_SEEDS) & (pooled >= FEWEST_POOLED))
