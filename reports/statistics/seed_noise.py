"""How much of a difference between two rows is chance of the seed, and which rows may pool that noise.

The noise of a row is estimated from few seeds, so rows support each other: rows that leave the base at the same stage
and share no training afterwards form a seed-noise group, and a group is pooled. A pooled variance alone is too
optimistic where rows differ in noise, so the variance of each pair is mixed in, as in the moderated t of Smyth (2004,
Stat. Appl. Genet. Mol. Biol. 3:3), with a fixed weight of the pool. A row that is clearly noisier than the others is
left out of the pool. Where the base is clearly noisier, nothing is pooled. tools/coverage_study.py measures how well
these rules work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """Return the quotient of two variances. Rows without any noise count as equally noisy."""
    return above / np.maximum(below, np.maximum(1e-12 * above, np.finfo(np.float64).tiny))
