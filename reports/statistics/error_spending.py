"""Error spending over planned interim analyses: how strict each analysis must be.

A study that is analysed several times, and stops where a verdict comes out, must share its error rate among the
analyses. Lan & DeMets (1983, Biometrika 70) let a function say how much is spent by which share of the seeds, here
the power family of Kim & DeMets (1987, Biometrika 74). The levels follow from the joint distribution of the analyses,
whose increments are independent (Armitage, McPherson & Rowe 1969, JRSS A 132), by sums over fixed nodes. Quantiles of
Student's t at these levels allow for estimated variances (Jennison & Turnbull 2000, section 3.8). Stopping for another
reason than a verdict, such as futility, may be chosen freely: it only lowers the error rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
from scipy import special  # not stats, whose import takes as long as a page

from reports.statistics.critical_values import Floats, critical_values

EXPONENT = 2.0
"""Of the share of the seeds: with half of them, a quarter of the error rate is spent."""
_NODES = 401
_BISECTIONS = 60
"""They halve the range of a limit down to the precision of numbers."""


@dataclass(frozen=True)
class Analyses:
    """Planned interim analyses of a family of comparisons."""

    seeds: tuple[int, ...]
    """Seeds at each analysis, rising; the last are the most that a row may have."""
    exponent: float = EXPONENT

    def index(self, seeds: int) -> int:
        """Return the analysis whose level intervals over so many seeds have: the last one with no more seeds.

        Between two analyses it is the stricter level, below the first one that of the first.
        """
        return max(sum(count <= seeds for count in self.seeds) - 1, 0)


def family_limits(
    seeds: int,
    analyses: Analyses | None,
    comparisons: int,
    correlation: Floats | float,
    degrees_of_freedom: Floats,
    error_rate: float,
) -> Floats:
    """Return how many standard errors intervals over so many seeds reach to either side, so that all hold together.

    Args:
        seeds: Of each row at this analysis.
        analyses: The planned ones; None: this is the only one.
        comparisons: Number of planned comparisons; rows that have stopped count, too.
        correlation: Mean correlation between two of the differences; with `analyses` one number.
        degrees_of_freedom: Of each row's standard error.
        error_rate: Probability that any interval misses its true difference, over all analyses.
    """
    if analyses is None:
        return critical_values(comparisons, np.asarray(correlation), degrees_of_freedom, error_rate)
    index, shared = analyses.index(seeds), float(np.mean(correlation))
    return interim_critical_values(
        analyses.seeds, index, comparisons, shared, degrees_of_freedom, error_rate, analyses.exponent
    )


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
    limit = -float(special.ndtri(spent[0] / 2))
    nodes = np.linspace(-limit, limit, _NODES) * seeds[0] ** 0.5
    density = _normal_density(nodes, seeds[0] ** 0.5) * _weights(nodes)
    for (before, now), part in zip(pairwise(seeds), spent[1:], strict=True):
        step = (now - before) ** 0.5
        excess = partial(_excess, nodes=nodes, density=density, step=step, scale=now**0.5, spent=part)
        limit = _root(excess, 0.1, 12.0)
        levels.append(2 * float(special.ndtr(-limit)))
        following = np.linspace(-limit, limit, _NODES) * now**0.5
        density = _normal_density(following[:, None] - nodes, step) @ density * _weights(following)
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
    of_comparison = 2 * float(special.ndtr(-limit))
    level = analysis_levels(tuple(seeds), of_comparison, exponent)[analysis]
    return -np.asarray(special.stdtrit(degrees_of_freedom, level / 2), dtype=np.float64)


def _excess(limit: float, nodes: Floats, density: Floats, step: float, scale: float, spent: float) -> float:
    """Return the logarithm of the error at a limit over the error to spend, given the last analysis's density."""
    bound = limit * scale
    outside = special.ndtr((nodes - bound) / step) + special.ndtr((-bound - nodes) / step)
    return float(np.log(outside @ density) - np.log(spent))


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function is 0, by bisection."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def _normal_density(values: Floats, scale: float) -> Floats:
    return np.exp(-((values / scale) ** 2) / 2) / (scale * (2 * np.pi) ** 0.5)


def _weights(nodes: Floats) -> Floats:
    """Return Simpson's weights for an odd number of equally spaced nodes."""
    weights = np.full(len(nodes), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * (nodes[1] - nodes[0]) / 3
