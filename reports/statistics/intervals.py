"""How sure a difference between two rows is: its interval over seeds and test images, and the verdict.

Scores have the shape (seeds, images). All rows have the same seeds and the same test images. The variance of a
difference has a seed part and an image part. A remainder is contained in both, so it is subtracted once. The degrees of
freedom follow Satterthwaite (1946, Biometrics Bulletin 2). The verdict depends on the interval alone, so the two cannot
contradict each other.

The seed noise of a row is estimated from few seeds, so rows support each other: rows that leave the base at the same
stage and share no training afterwards form a seed-noise group, and a group is pooled. A pooled variance alone is too
optimistic where rows differ in noise, so the variance of each pair is mixed in, as in the moderated t of Smyth (2004,
Stat. Appl. Genet. Mol. Biol. 3:3), with a fixed weight of the pool. A row that is clearly noisier than the others is
left out of the pool. Where the base is clearly noisier, nothing is pooled. tools/coverage_study.py measures how well
these rules work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.schema import PlanRow

Floats = NDArray[np.float64]

_POOL_WEIGHT = 3.0
"""Degrees of freedom that a large pool counts for; chosen with tools/coverage_study.py."""
_NOISIER_ROW_LEVEL = 0.05
"""Probability that one of equally noisy rows is taken for noisier."""
_NOISIER_BASE_LEVEL = 0.1
"""Larger, because an undetected noisy base falsifies every difference of its table."""


@dataclass(frozen=True)
class SeedNoise:
    """The seed noise of each row's mean difference to the base. All arrays have the shape (..., rows)."""

    variance: Floats
    """Variance of the difference's mean over the seeds, in squared units of the score."""
    degrees_of_freedom: Floats
    pooled: NDArray[np.int64]
    """Rows, base included, from which the noise is estimated. 2 is the pair alone."""


def seed_noise(means: Floats) -> SeedNoise:
    """Return the seed noise of each row minus the base.

    Args:
        means: Means over the images, shape (..., 1 + rows, seeds), base first, at least 2 seeds. The rows form one
            seed-noise group.
    """
    seeds = means.shape[-1]
    own = np.var(means[..., 1:, :] - means[..., :1, :], axis=-1, ddof=1)
    kept = _equally_noisy(means)
    count = kept.sum(-1)
    squares = _squares(means, kept)
    pool = 2 * squares.sum(-1) / ((count - 1) * (seeds - 1))
    may_pool = kept[..., 1:] & (kept[..., 0] & (count > 2) & ~_base_is_noisier(squares, count, seeds))[..., None]
    weight = (_POOL_WEIGHT * (1 - 2 / count))[..., None]  # a small pool cannot show how much rows differ
    mixed = (weight * pool[..., None] + (seeds - 1) * own) / (weight + seeds - 1)
    degrees = np.minimum((count - 1)[..., None] * (seeds - 1), weight + seeds - 1)
    return SeedNoise(
        variance=np.where(may_pool, mixed, own) / seeds,
        degrees_of_freedom=np.where(may_pool, degrees, float(seeds - 1)),
        pooled=np.where(may_pool, count[..., None], 2),
    )


def seed_noise_groups(rows: Sequence[PlanRow], base: PlanRow) -> dict[str, str]:
    """Group planned rows by the stage where their training leaves that of `base`.

    A row that may not be pooled has a group of its own: a row that ends where it leaves the base, one that continues
    from the end of the base (one side of the difference has no noise then), one that shares training with an earlier
    row of its group, a baseline, and a row whose plan holds no stage keys.

    Returns:
        Row -> name of its group: the index of the stage, such as "0", or the row's name.
    """
    groups: dict[str, str] = {}
    seen_keys: set[str] = set()
    for row in rows:
        stage = _first_own_stage(row, base)
        own_keys = set() if stage is None else set(row.stages[stage].keys.values())
        groups[row.row] = f"row {row.row}" if stage is None or own_keys & seen_keys else str(stage)
        seen_keys |= own_keys
    return groups


def _first_own_stage(row: PlanRow, base: PlanRow) -> int | None:
    """Return the index of the first stage that differs, equal over all seeds; None where there is none."""
    indices: set[int | None] = set()
    for seed in (str(seed) for seed in row.seeds if seed in base.seeds):
        keys, base_keys = ([stage.keys.get(seed) for stage in stages] for stages in (row.stages, base.stages))
        equal = [key == other for key, other in zip(keys, base_keys, strict=False)]
        is_known = keys and base_keys and None not in keys and None not in base_keys
        indices.add((equal.index(False) if False in equal else len(equal)) if is_known else None)
    index = indices.pop() if len(indices) == 1 else None
    return index if index is not None and index < min(len(row.stages), len(base.stages)) else None


def _squares(means: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Return each kept row's squared residuals after row and seed effects, summed over the seeds."""
    centred = means - means.mean(-1, keepdims=True)
    of_seed = np.where(kept[..., None], centred, 0.0).sum(-2) / kept.sum(-1)[..., None]
    return np.where(kept, ((centred - of_seed[..., None, :]) ** 2).sum(-1), 0.0)


def _equally_noisy(means: Floats) -> NDArray[np.bool_]:
    """Tell which rows are not clearly noisier: remove the noisiest as long as a test like Cochran's rejects it."""
    seeds = means.shape[-1]
    kept = np.ones(means.shape[:-1], dtype=bool)
    for _ in range(means.shape[-2] - 2):
        squares, count = _squares(means, kept), kept.sum(-1)
        largest = squares.max(-1)
        others = (count - 1) * (seeds - 1)
        ratio = _ratio(largest / (seeds - 1), (squares.sum(-1) - largest) / others)
        limit = stats.f.ppf(1 - _NOISIER_ROW_LEVEL / count, seeds - 1, others)
        leaves = (count > 2) & (ratio > limit)
        if not leaves.any():
            break
        kept &= ~(leaves[..., None] & (np.arange(means.shape[-2]) == squares.argmax(-1)[..., None]))
    return kept


def _base_is_noisier(squares: Floats, count: NDArray[np.int64], seeds: int) -> NDArray[np.bool_]:
    """Tell whether the base is clearly noisier than the kept rows."""
    others = np.maximum((count - 1) * (seeds - 1), 1)
    ratio = _ratio(squares[..., 0] / (seeds - 1), squares[..., 1:].sum(-1) / others)
    return ratio > stats.f.ppf(1 - _NOISIER_BASE_LEVEL, seeds - 1, others)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return the quotient of two variances. Rows without any noise count as equally group."""
    return above / np.maximum(below, np.maximum(1e-12 * above, np.finfo(np.float64).tiny))


Verdict = Literal["gain", "loss", "equivalent", "no gain", "negligible gain", "negligible loss", "inconclusive"]

ERROR_RATE = 0.05
"""Probability that any interval of one table misses its true difference."""
FEWEST_SEEDS = 3
"""Two seeds do not show whether rows are equally noisy, so intervals over two seeds are too short."""
ENOUGH_SEEDS = 5
"""From this number of seeds on, a row needs no pooled seed noise."""
FEWEST_POOLED = 4
"""Rows, base included, that a pool needs below `ENOUGH_SEEDS`."""
_MOST_SEEDS = 100


@dataclass(frozen=True)
class Estimate:
    """A row minus the base, in the unit of the score."""

    difference: float
    low: float
    high: float
    """Ends of the interval. It holds together with the other comparisons it was made for."""
    seeds: int
    pooled: int
    """Rows, base included, from which the seed noise is estimated. 2 is the pair alone."""
    seeds_needed: int | None
    """Seeds for a half-width of the equivalence margin with these images. None where only more images help."""

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
    remainder: Floats
    """The variance that both parts contain."""
    seeds: int
    images: int

    def half_width(self, comparisons: int) -> Floats:
        """Return half-widths of intervals that hold together over this many comparisons (Bonferroni)."""
        noise = self.seed_noise
        return _half_width(
            noise.variance, noise.degrees_of_freedom, self.image_variance, self.remainder, self.images, comparisons
        )


def compare(
    scores: Mapping[str, Floats],
    base: str,
    *,
    noise_groups: Mapping[str, str],
    equivalence_margin: float,
    comparisons: int,
) -> dict[str, Estimate]:
    """Compare every row with the base row.

    Args:
        scores: Row -> scores of shape (seeds, images). All rows have the same seeds and images in the same order.
        base: The row to compare with.
        noise_groups: Row -> name of its seed-noise group. The rows of a group pool their seed noise, so they must share
            no training after they leave the base.
        equivalence_margin: Smallest difference that matters, in the unit of the scores.
        comparisons: Number of intervals that the error rate holds for, at least 1.

    Raises:
        ValueError: Shapes differ, or there are fewer than two seeds or two images.
    """
    shapes = {row: values.shape for row, values in scores.items()}
    if len(set(shapes.values())) > 1 or min(shapes[base]) < 2:
        raise ValueError(f"scores need the same shape in all rows, at least 2 seeds and 2 images; got {shapes}")
    rows = [row for row in scores if row != base]
    estimates: dict[str, Estimate] = {}
    for name in dict.fromkeys(noise_groups[row] for row in rows):
        members = [row for row in rows if noise_groups[row] == name]
        group = differences(np.stack([scores[base], *(scores[row] for row in members)]))
        half = group.half_width(comparisons)
        estimates |= {
            row: Estimate(
                difference=float(group.mean[index]),
                low=float(group.mean[index] - half[index]),
                high=float(group.mean[index] + half[index]),
                seeds=group.seeds,
                pooled=int(group.seed_noise.pooled[index]),
                seeds_needed=_seeds_needed(group, index, equivalence_margin, comparisons),
            )
            for index, row in enumerate(members)
        }
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
    return Differences(
        mean=mean,
        seed_noise=seed_noise(scores.mean(-1)),
        image_variance=by_image.var(-1, ddof=1) / images,
        remainder=(residual**2).sum((-2, -1)) / ((seeds - 1) * (images - 1)) / (seeds * images),
        seeds=seeds,
        images=images,
    )


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


def _half_width(
    seed: Floats, seed_degrees: Floats, image: Floats, remainder: Floats, images: int, comparisons: int
) -> Floats:
    """Return half-widths from the parts of the variance of a mean difference, of which both contain the remainder.

    The variance is never below either part. The degrees of freedom are Satterthwaite's, at least 1. The error rate is
    divided among the comparisons (Bonferroni).
    """
    variance = np.maximum(seed + image - remainder, np.maximum(seed, image))
    spread = seed**2 / seed_degrees + image**2 / (images - 1)
    degrees_of_freedom = np.maximum(variance**2 / np.maximum(spread, np.finfo(np.float64).tiny), 1.0)
    return cast(Floats, stats.t.ppf(1 - ERROR_RATE / (2 * comparisons), degrees_of_freedom)) * np.sqrt(variance)


def _seeds_needed(group: Differences, index: int, half_width: float, comparisons: int) -> int | None:
    """Return the seeds, at least the present ones, that reach a half-width if the noise stays as it is."""
    seeds = np.arange(group.seeds, _MOST_SEEDS + 1)
    noise = group.seed_noise
    seed, remainder = (variance[index] * group.seeds / seeds for variance in (noise.variance, group.remainder))
    image = max(group.image_variance[index] - group.remainder[index], 0.0) + remainder
    degrees = noise.degrees_of_freedom[index] + seeds - group.seeds
    widths = _half_width(seed, degrees, image, remainder, group.images, comparisons)
    enough = seeds[widths <= half_width]
    return int(enough[0]) if len(enough) else None
