"""The noise of seeds: how much the difference of two rows would change with other seeds.

The seed noise of a row is estimated from few seeds, so rows support each other: rows that leave the base at the same
stage and share no training afterwards form a seed-noise group, and a group is pooled. A pooled variance alone is too
optimistic where rows differ in noise. So the variance of each pair is mixed in, as in the moderated t of Smyth (2004,
Stat. Appl. Genet. Mol. Biol. 3:3): the pool counts for as many degrees of freedom as the scatter of the rows' own
variances suggests. Few seeds tell little, so a pool counts for at most d * d, where d = seeds - 1. Clearly noisier rows
have a pool, and so a prior, of their own. Where the base is clearly noisier, nothing is pooled.
tools/coverage_study.py measures how well these rules work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.schema import PlanRow

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_NOISIER_ROW_LEVEL = 0.05
"""Probability that one of equally noisy rows is taken for noisier."""
_NOISIER_BASE_LEVEL = 0.1
"""Larger, because an undetected noisy base falsifies every difference of its table."""
_LEAST_SHARE = 1 / 8
"""A pool counts for at least so many times the degrees of freedom of one row's own variance."""
_PRIORS = 6
"""Degrees of freedom of a pool that are weighed against each other; before the data, all are equally probable."""
_PRIOR_SCALES = np.linspace(-3, 3, 25)
"""Logarithms of the pool's true variance, relative to the mean of the rows'."""
_LENGTH_RATIO = 2.0
"""Rows whose training is longer or shorter than the base's by more than this factor are not pooled."""


@dataclass(frozen=True)
class SeedNoise:
    """The seed noise of each row's mean difference to the base. All arrays have the shape (..., rows)."""

    variance: Floats
    """Variance of the difference's mean over the seeds, in squared units of the score."""
    degrees_of_freedom: Floats
    pooled: NDArray[np.int64]
    """Rows, base included, from which the noise is estimated. 2 is the pair alone."""
    of_base: Floats
    """The part of the variance that is the base's, which all rows share; 0 where it cannot be told."""


def seed_noise(means: Floats) -> SeedNoise:
    """Return the seed noise of each row minus the base.

    Args:
        means: Means over the images, shape (..., 1 + rows, seeds), base first, at least 2 seeds. The rows form one
            seed-noise group.
    """
    seeds = means.shape[-1]
    alone = float(seeds - 1)
    own = np.var(means[..., 1:, :] - means[..., :1, :], axis=-1, ddof=1)
    if means.shape[-2] == 2:  # a pair has nothing to pool, and does not tell whose noise it is
        return SeedNoise(own / seeds, np.full_like(own, alone), np.full(own.shape, 2), np.zeros_like(own))
    kept = _equally_noisy(means)
    count = kept.sum(-1)
    squares = _squares(means, kept)
    pool = squares.sum(-1) / ((count - 1) * alone)
    is_sound = kept[..., 0] & (count > 2) & ~_base_is_noisier(squares, count, seeds)
    quiet = kept[..., 1:] & is_sound[..., None]
    # A small pool cannot show how much its rows differ.
    weight = prior_degrees(squares, kept, alone) * (1 - 2 / np.maximum(count, 2))
    variance = np.where(quiet, _moderated(own, 2 * pool, weight, alone), own)
    degrees = np.where(quiet, np.minimum((count - 1) * alone, weight + alone)[..., None], alone)
    pooled = np.where(quiet, count[..., None], 2)

    noisier = ~kept[..., 1:] & is_sound[..., None]
    noisy_count = noisier.sum(-1)
    noisy_squares = _squares_against(means, kept)[..., 1:]
    noisy_pool = np.where(noisier, noisy_squares, 0.0).sum(-1) / (np.maximum(noisy_count, 1) * alone)
    noisy_weight = prior_degrees(noisy_squares, noisier, alone) * (1 - 1 / np.maximum(noisy_count, 1))
    shares = noisier & (noisy_count > 1)[..., None]
    prior = noisy_pool + pool * (1 - 1 / np.maximum(count, 1))  # the base's noise in place of that of the rows' mean
    variance = np.where(shares, _moderated(own, prior, noisy_weight, alone), variance)
    degrees = np.where(shares, np.minimum(noisy_count * alone, noisy_weight + alone)[..., None], degrees)
    pooled = np.where(shares, noisy_count[..., None], pooled)

    base_own = base_variance(means, kept)
    of_base = np.where(is_sound, _moderated(base_own, pool, weight, alone), base_own)
    return SeedNoise(variance / seeds, degrees, pooled, np.minimum(of_base[..., None], variance) / seeds)


def prior_degrees(squares: Floats, kept: Flags, degrees: float) -> Floats:
    """Estimate for how many degrees of freedom a pool of variances counts: few where they scatter, many where not.

    The rows' true variances are taken as scaled inverse chi-squared. The result is that of the mean weight of the pool
    under all its possible degrees of freedom, each with the likelihood of the rows' own variances.

    Args:
        squares: Squared residuals of each row, summed over the seeds, shape (..., rows).
        kept: The rows that count, same shape.
        degrees: Degrees of freedom of each row's own variance.
    """
    count = np.maximum(kept.sum(-1), 1)
    mean = np.where(kept, squares, 0.0).sum(-1) / count
    ratio = np.divide(squares, mean[..., None], out=np.ones_like(squares), where=kept & (mean[..., None] > 0))
    ratio = np.maximum(ratio, 1e-12)
    choices = degrees * np.geomspace(_LEAST_SHARE, degrees, _PRIORS)
    prior, scale = choices[:, None], np.exp(_PRIOR_SCALES)
    scaled = ratio[..., None, None] / scale
    density = (
        degrees / 2 * np.log(degrees * scaled / prior)
        - (degrees + prior) / 2 * np.log1p(degrees * scaled / prior)
        - special.betaln(degrees / 2, prior / 2)
    )
    likelihood = special.logsumexp(np.where(kept[..., None, None], density, 0.0).sum(-3), axis=-1)
    posterior = special.softmax(likelihood, axis=-1)
    share = posterior @ (choices / (choices + degrees))
    return degrees * share / (1 - share)


def seed_noise_groups(rows: Sequence[PlanRow], base: PlanRow) -> dict[str, str]:
    """Group planned rows by the stage where their training leaves that of `base`.

    A row that may not be pooled has a group of its own: a row that ends where it leaves the base, one that continues
    from the end of the base (one side of the difference has no noise then), one that shares training with an earlier
    row of its group, one that trains for less than half or more than twice as many steps, a baseline, and a row whose
    plan holds no stage keys.

    Returns:
        Row -> name of its group: the index of the stage, such as "0", or the row's name.
    """
    groups: dict[str, str] = {}
    seen_keys: set[str] = set()
    for row in rows:
        stage = _first_own_stage(row, base)
        own_keys = set() if stage is None else set(row.stages[stage].keys.values())
        is_alone = stage is None or bool(own_keys & seen_keys) or not _is_as_long(row, base)
        groups[row.row] = f"row {row.row}" if is_alone else str(stage)
        seen_keys |= own_keys
    return groups


def base_variance(means: Floats, kept: Flags) -> Floats:
    """Return an unbiased estimate of the base's own variance, at least 0 (Grubbs 1948, JASA 43); 0 below two rows.

    Args:
        means: Scores of shape (..., 1 + rows, seeds) or (..., 1 + rows, images), base first.
        kept: The rows that count, shape (..., 1 + rows); the base always does.
    """
    with_base = kept.copy()
    with_base[..., 0] = True
    squares, count = _squares(means, with_base), with_base.sum(-1)
    enough = np.maximum(count, 3)
    excess = squares[..., 0] - squares.sum(-1) / (enough * (enough - 1))
    variance = np.maximum(excess * enough / (enough - 2) / (means.shape[-1] - 1), 0.0)
    return np.where(count > 2, variance, 0.0)


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


def _is_as_long(row: PlanRow, base: PlanRow) -> bool:
    steps, base_steps = (sum(stage.steps for stage in planned.stages) for planned in (row, base))
    return base_steps / _LENGTH_RATIO <= steps <= base_steps * _LENGTH_RATIO


def _moderated(own: Floats, prior: Floats, weight: Floats, degrees: float) -> Floats:
    """Return own variances mixed with that of the pool, which counts for `weight` degrees of freedom."""
    shape = (...,) + (None,) * (own.ndim - weight.ndim)
    return (weight[shape] * prior[shape] + degrees * own) / (weight[shape] + degrees)


def _squares(means: Floats, kept: Flags) -> Floats:
    """Return each kept row's squared residuals after row and seed effects, summed over the seeds."""
    return np.where(kept, _squares_against(means, kept), 0.0)


def _squares_against(means: Floats, kept: Flags) -> Floats:
    """Return each row's squared residuals, summed over the seeds; the effect of a seed is the mean of the kept rows."""
    centred = means - means.mean(-1, keepdims=True)
    of_seed = np.where(kept[..., None], centred, 0.0).sum(-2) / kept.sum(-1)[..., None]
    return ((centred - of_seed[..., None, :]) ** 2).sum(-1)


def _equally_noisy(means: Floats) -> Flags:
    """Tell which rows are not clearly noisier: remove the noisiest as long as a test like Cochran's rejects it."""
    seeds = means.shape[-1]
    kept = np.ones(means.shape[:-1], dtype=bool)
    for _ in range(means.shape[-2] - 2):
        squares, count = _squares(means, kept), kept.sum(-1)
        largest = squares.max(-1)
        others = (count - 1) * (seeds - 1)
        ratio = _ratio(largest / (seeds - 1), (squares.sum(-1) - largest) / others)
        limit = special.fdtri(seeds - 1, others, 1 - _NOISIER_ROW_LEVEL / count)
        leaves = (count > 2) & (ratio > limit)
        if not leaves.any():
            break
        kept &= ~(leaves[..., None] & (np.arange(means.shape[-2]) == squares.argmax(-1)[..., None]))
    return kept


def _base_is_noisier(squares: Floats, count: NDArray[np.int64], seeds: int) -> Flags:
    """Tell whether the base is clearly noisier than the kept rows."""
    others = np.maximum((count - 1) * (seeds - 1), 1)
    ratio = _ratio(squares[..., 0] / (seeds - 1), squares[..., 1:].sum(-1) / others)
    return ratio > special.fdtri(seeds - 1, others, 1 - _NOISIER_BASE_LEVEL)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return the quotient of two variances. Rows without any noise count as equally noisy."""
    return above / np.maximum(below, np.maximum(1e-12 * above, np.finfo(np.float64).tiny))
