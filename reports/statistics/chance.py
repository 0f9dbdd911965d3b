"""The chance that more seeds resolve a comparison: where its interval is expected to lie by then."""

from collections.abc import Sequence
from statistics import NormalDist

from reports.statistics.precision import Precision

Zone = tuple[float, float]
"""Gains around which an interval decides nothing, from lowest to highest."""


def chance_of_verdict(gain: float, precision: Precision, seeds: int, equivalence_margin: float) -> float:
    """Return the chance that a verdict is another one than inconclusive, 0 to 1.

    Args:
        gain: The present estimate.
        precision: What its interval comes from.
        seeds: Seeds of each row by then, with the same images.
        equivalence_margin: Smallest gain that matters.
    """
    half_width = precision.with_evidence(seeds, precision.images).half_width
    zone = (equivalence_margin - half_width, half_width)
    return _chance_outside([zone] if zone[0] < zone[1] else [], gain, precision, seeds)


def chance_of_claim(gain: float, precision: Precision, seeds: int, ends: Sequence[float]) -> float:
    """Return the chance that no end of a claim lies in the interval, 0 to 1; see `chance_of_verdict`."""
    half_width = precision.with_evidence(seeds, precision.images).half_width
    zones = [(end - half_width, end + half_width) for end in sorted(ends)]
    return _chance_outside(zones, gain, precision, seeds)


def _chance_outside(zones: Sequence[Zone], gain: float, precision: Precision, seeds: int) -> float:
    """Return the chance that the estimate by then lies in no zone; `zones` begin at rising gains.

    An estimate over all seeds lies around the present one; its variance is what the variance of the mean loses.
    """
    later = precision.with_evidence(seeds, precision.images)
    variance = max(precision.seed_variance - later.seed_variance, 0.0)
    if not variance:
        return float(not any(low < gain < high for low, high in zones))
    expected, inside, reached = NormalDist(gain, variance**0.5), 0.0, -float("inf")
    for low, high in zones:  # what two of them share counts once
        start = max(low, reached)
        if high > start:
            inside += expected.cdf(high) - expected.cdf(start)
            reached = high
    return 1 - inside
