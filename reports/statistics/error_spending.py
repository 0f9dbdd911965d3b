"""Error spending over planned interim analyses: how strict each analysis must be.

A study that is analysed several times, and stops where a verdict comes out, must share its error rate among the
analyses. Lan & DeMets (1983, Biometrika 70) let a function say how much is spent by which share of the seeds, here
the power family of Kim & DeMets (1987, Biometrika 74). The levels follow from the joint distribution of the analyses,
whose increments are independent (Armitage, McPherson & Rowe 1969, JRSS A 132), by sums over fixed nodes. Quantiles of
Student's t at these levels allow for estimated variances (Jennison & Turnbull 2000, section 3.8). Stopping for another
reason than a verdict, such as futility, may be chosen freely: it only lowers the error rate.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import cast

import numpy as np
from scipy import optimize, special, stats

from reports.statistics.critical_values import Floats, critical_values

EXPONENT = 2.0
"""Of the share of the seeds: with half of them, a quarter of the error rate is spent."""
_NODES = 401


def error_spent(seeds: Sequence[int], error_rate: float, exponent: float = EXPONENT) -> tuple[float, ...]:
    """Return how much of the error rate each analysis spends; the sum is the error rate.

    Args:
        seeds: Seeds at each planned analysis, rising; the last is the most that a row may have.
        error_rate: Probability of any false verdict over all analyses.
        exponent: 1 spends evenly over the seeds, more keeps the error for the later analyses.

    Raises:
        ValueError: The seeds do not rise, or start below 2.
    """
    if not seeds or seeds[0] < 2 or any(later <= earlier for earlier, later in pairwise(seeds)):
        raise ValueError(f"interim analyses need rising numbers of seeds from 2 on; got {list(seeds)}")
    spent = error_rate * (np.array(seeds) / seeds[-1]) ** exponent
    return tuple(float(part) for part in np.diff(spent, prepend=0.0))


@lru_cache(maxsize=10_000)
def analysis_levels(seeds: tuple[int, ...], error_rate: float, exponent: float = EXPONENT) -> tuple[float, ...]:
    """Return the level of each analysis: the two-sided p-value below which one comparison has a verdict.

    A comparison that is tested at these levels, and stops at the first verdict, has a false one with the probability
    `error_rate`. The levels add up to more than that, because the analyses share their seeds.

    Raises:
        ValueError: As `error_spent`.
    """
    spent = error_spent(seeds, error_rate, exponent)
    levels = [spent[0]]
    limit = float(stats.norm.isf(spent[0] / 2))
    nodes = np.linspace(-limit, limit, _NODES) * seeds[0] ** 0.5
    density = stats.norm.pdf(nodes, scale=seeds[0] ** 0.5) * _weights(nodes)
    for (before, now), part in zip(pairwise(seeds), spent[1:], strict=True):
        step = (now - before) ** 0.5
        excess = partial(_excess, nodes=nodes, density=density, step=step, scale=now**0.5, spent=part)
        limit = cast(float, optimize.brentq(excess, 0.1, 12.0, xtol=1e-12))
        levels.append(2 * float(stats.norm.sf(limit)))
        following = np.linspace(-limit, limit, _NODES) * now**0.5
        density = stats.norm.pdf(following[:, None] - nodes, scale=step) @ density * _weights(following)
        nodes = following
    return tuple(levels)


def interim_critical_values(
    seeds: Sequence[int],
    analysis: int,
    comparisons: int,
    correlation: float,
    degrees_of_freedom: Floats,
    error_rate: float,
    exponent: float = EXPONENT,
) -> Floats:
    """Return how many standard errors an interval reaches at one of several planned analyses.

    All intervals at which rows stop, whenever each does, hold together with the probability 1 - `error_rate`: each of
    the planned comparisons spends its part of the error over its own analyses. The family stays the planned one after
    rows have stopped.

    Args:
        seeds: Seeds at each planned analysis.
        analysis: Index of the present one.
        comparisons: Number of planned comparisons.
        correlation: Mean correlation between two of the differences.
        degrees_of_freedom: Of each row's standard error at this analysis.
        error_rate: Probability that any interval, at the analysis where its row stops, misses its true difference.
        exponent: As in `error_spent`.

    Raises:
        ValueError: As `error_spent`.
    """
    # A fixed share of the error for each comparison: degrees of freedom differ between analyses.
    limit = critical_values(comparisons, np.asarray(correlation), np.asarray(1e6), error_rate)
    of_comparison = 2 * float(stats.norm.sf(limit))
    level = analysis_levels(tuple(seeds), of_comparison, exponent)[analysis]
    return np.asarray(stats.t.isf(level / 2, degrees_of_freedom), dtype=np.float64)


def _excess(limit: float, nodes: Floats, density: Floats, step: float, scale: float, spent: float) -> float:
    """Return the logarithm of the error at a limit over the error to spend, given the last analysis's density."""
    bound = limit * scale
    outside = special.ndtr((nodes - bound) / step) + special.ndtr((-bound - nodes) / step)
    return float(np.log(outside @ density) - np.log(spent))


def _weights(nodes: Floats) -> Floats:
    """Return Simpson's weights for an odd number of equally spaced nodes."""
    weights = np.full(len(nodes), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * (nodes[1] - nodes[0]) / 3
