"""How much of a difference between two rows is chance of the seed.

A row's noise is judged from few seeds, so rows help each other: rows that leave the base at the same stage are pooled.
A pooled variance alone claims too much where rows differ in noise, so each pair's own variance is mixed in, as in the
moderated t of Smyth (2004, Stat. Appl. Genet. Mol. Biol. 3:3), with a fixed weight of the pool. A row that is clearly
noisier than the others, and every row where the base is, stands on its own seeds alone. `coverage` measures what this
is worth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_POOL_WEIGHT = 3.0
"""The pool counts as much as so many degrees of freedom, in a large pool; chosen by `coverage`."""
_NOISIER_ROW_LEVEL = 0.05
"""Chance that any of equally noisy rows is taken for noisier."""
_NOISIER_BASE_LEVEL = 0.1
"""Larger, as a base that is noisier unnoticed spoils every difference of its table."""


@dataclass(frozen=True)
class SeedNoise:
    """Of each row's mean difference to the base; all arrays have shape (..., rows)."""

    variance: Floats
    """Of the difference's mean over the seeds, in squared units of the score."""
    degrees_of_freedom: Floats
    pooled: NDArray[np.int64]
    """Number of rows, the base among them, whose seeds tell the noise: 2 is the pair alone."""


def seed_noise(means: Floats) -> SeedNoise:
    """The noise of each row minus the base.

    Args: means: over the images, shape (..., 1 + rows, seeds), base first; at least 2 seeds. The rows leave the base at
    one and the same stage and share no later training with each other.
    """
    seeds = means.shape[-1]
    own = np.var(means[..., 1:, :] - means[..., :1, :], axis=-1, ddof=1)
    kept = _equally_noisy(means)
    count = kept.sum(-1)
    squares = _squares(means, kept)
    pool = 2 * squares.sum(-1) / ((count - 1) * (seeds - 1))
    may_pool = kept[..., 1:] & (kept[..., 0] & (count > 2) & ~_base_is_noisier(squares, count, seeds))[..., None]
    weight = (_POOL_WEIGHT * (1 - 2 / count))[..., None]  # a small pool knows little of how much rows differ
    mixed = (weight * pool[..., None] + (seeds - 1) * own) / (weight + seeds - 1)
    degrees = np.minimum((count - 1)[..., None] * (seeds - 1), weight + seeds - 1)
    return SeedNoise(
        variance=np.where(may_pool, mixed, own) / seeds,
        degrees_of_freedom=np.where(may_pool, degrees, float(seeds - 1)),
        pooled=np.where(may_pool, count[..., None], 2),
    )


def _squares(means: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Sum over the seeds of the squared residuals of each kept row, after its own and the seeds' effects."""
    centred = means - means.mean(-1, keepdims=True)
    of_seed = np.where(kept[..., None], centred, 0.0).sum(-2) / kept.sum(-1)[..., None]
    return np.where(kept, ((centred - of_seed[..., None, :]) ** 2).sum(-1), 0.0)


def _equally_noisy(means: Floats) -> NDArray[np.bool_]:
    """Which rows are not clearly noisier than the others: the noisiest leaves while a test like Cochran's says so."""
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
    others = np.maximum((count - 1) * (seeds - 1), 1)
    ratio = _ratio(squares[..., 0] / (seeds - 1), squares[..., 1:].sum(-1) / others)
    return ratio > stats.f.ppf(1 - _NOISIER_BASE_LEVEL, seeds - 1, others)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient of two variances; rows without any noise are equally noisy."""
    return above / np.maximum(below, np.maximum(1e-12 * above, np.finfo(np.float64).tiny))
