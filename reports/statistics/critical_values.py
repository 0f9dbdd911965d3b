"""Critical values of intervals that hold together: Dunnett-type, with an estimated correlation.

Rows that are compared with one base share its noise, so their differences correlate. Dunnett (1955, JASA 50) assumes a
correlation of one half, which is wrong for a noisy base and for rows that share trained stages; so the correlation is
estimated. Each row has degrees of freedom of its own and its own critical value, as in Hasler & Hothorn
(2008, Int. J. Biostatistics 4:1). The standard errors count as independent of each other, which is on the safe side
where they share a pool (Kimball 1951, Ann. Math. Stat. 22). Without correlation this is the limit of Sidak (1967, JASA
62).

All integrals are sums over fixed nodes, without random numbers, so a report has the same bytes each time.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special  # not stats, whose import takes as long as a page

Floats = NDArray[np.float64]

HIGHEST_CORRELATION = 0.9
"""Above it the sums would need more nodes; a lower correlation is on the safe side."""
_SHARED = np.linspace(0.0, 8.0, 33)
"""Nodes of the shared part of the noise, in standard deviations; the negative half is its mirror image."""
_SHARED_WEIGHTS = np.exp(-(_SHARED**2) / 2) * np.where(_SHARED > 0, 2.0, 1.0)
_ERROR_NODES = 64
_STEPS = 9
_CONVERGED = 1e-9
"""Of the logarithm of the limit; reached after four or five steps of the secant method."""


def critical_values(comparisons: int, correlation: Floats, degrees_of_freedom: Floats, error_rate: float) -> Floats:
    """Return how many standard errors the intervals reach to either side, so that all hold together.

    Args:
        comparisons: Number of intervals, at least 1.
        correlation: Mean correlation between two of the differences, 0 to 1; broadcast with the degrees of freedom.
        degrees_of_freedom: Of each row's standard error, at least 1. They are rounded to 2 % and correlations down to
            steps of 0.05, which changes the result by less than 1 % and lets similar rows share the work.
        error_rate: Probability that any interval misses its true difference.
    """
    if comparisons == 1:
        return -np.asarray(special.stdtrit(degrees_of_freedom, error_rate / 2), dtype=np.float64)
    rounded = np.clip(np.floor(20 * np.asarray(correlation) + 1e-9) / 20, 0.0, HIGHEST_CORRELATION)
    logarithms = np.round(50 * np.log(degrees_of_freedom))
    if np.ndim(rounded) == np.ndim(logarithms) == 0:
        value = _critical_value(comparisons, float(rounded), float(np.exp(logarithms / 50)), error_rate)
        return np.array(value)
    pairs = np.stack(np.broadcast_arrays(rounded, logarithms), axis=-1)
    unique, places = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    values = [_critical_value(comparisons, float(rho), float(np.exp(log / 50)), error_rate) for rho, log in unique]
    return np.array(values)[places].reshape(pairs.shape[:-1])


@lru_cache(maxsize=200_000)
def _critical_value(comparisons: int, correlation: float, degrees_of_freedom: float, error_rate: float) -> float:
    """Solve for the limit of one row by the secant method, in logarithms, where the error is almost a line."""
    sidak = -np.expm1(np.log1p(-error_rate) / comparisons)
    high = -float(special.stdtrit(degrees_of_freedom, sidak / 2))
    if correlation == 0:
        return high
    previous, current = np.log(high), np.log(0.9 * high)
    misses = [_log_error(comparisons, correlation, degrees_of_freedom, x) for x in (previous, current)]
    for _ in range(_STEPS):
        if abs(current - previous) < _CONVERGED:
            break
        slope = misses[1] - misses[0]
        following = current - (misses[1] - np.log(error_rate)) * (current - previous) / slope
        previous, current = current, following
        misses = [misses[1], _log_error(comparisons, correlation, degrees_of_freedom, current)]
    return float(np.exp(current))


def _log_error(comparisons: int, correlation: float, degrees_of_freedom: float, log_limit: float) -> float:
    """Return the logarithm of the probability that any of the differences exceeds the limit."""
    own = (1 - correlation) ** 0.5
    errors, weights = _standard_errors(degrees_of_freedom)
    limit = np.exp(log_limit) * errors
    shift = correlation**0.5 * _SHARED[:, None]
    outside = special.ndtr(-(limit + shift) / own) + special.ndtr(-(limit - shift) / own)
    inside = np.log1p(-np.minimum(outside @ weights, 1 - 1e-15))
    return float(np.log(_SHARED_WEIGHTS @ -np.expm1(comparisons * inside) / _SHARED_WEIGHTS.sum()))


def _standard_errors(degrees_of_freedom: float) -> tuple[Floats, Floats]:
    """Return nodes and weights of an estimated standard error whose true value is 1: equal steps of its logarithm."""
    tail = 1e-10
    low, high = (2 * float(special.gammaincinv(degrees_of_freedom / 2, share)) for share in (tail, 1 - tail))
    log_variance = np.linspace(np.log(low / degrees_of_freedom), np.log(high / degrees_of_freedom), _ERROR_NODES)
    log_density = degrees_of_freedom / 2 * (log_variance - np.exp(log_variance))
    weights = np.exp(log_density - log_density.max())
    return np.exp(log_variance / 2), weights / weights.sum()
