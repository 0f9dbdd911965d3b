"""The chance that more seeds resolve a comparison, against simulated further seeds."""

import numpy as np
import pytest

from reports.statistics.chance import chance_of_claim, chance_of_verdict
from reports.statistics.precision import Precision

SD, SEEDS, LATER, MARGIN = 0.3, 5, 20, 0.2


def precision() -> Precision:
    return Precision(
        seed_variance=SD**2 / SEEDS, seed_degrees=SEEDS - 1.0, image_variance=1e-4, remainder=0.0, seeds=SEEDS,
        images=50, comparisons=1, correlation=0.0, error_rate=0.05,
    )  # fmt: skip


def later_estimates(gain: float) -> np.ndarray:
    """Estimates over all seeds by then: the truth lies around the present estimate, further seeds around the truth."""
    rng = np.random.default_rng(1)
    truth = rng.normal(gain, SD / SEEDS**0.5, 200_000)
    further = rng.normal(truth, SD / (LATER - SEEDS) ** 0.5)
    return (SEEDS * gain + (LATER - SEEDS) * further) / LATER


@pytest.mark.parametrize("gain", [-0.1, 0.0, 0.1, 0.3])
def test_the_chance_of_a_verdict_is_that_of_simulated_seeds(gain: float) -> None:
    """Gain, loss and all that excludes a gain that matters count; inconclusive does not."""
    half = precision().with_evidence(LATER, 50).half_width
    estimates = later_estimates(gain)
    is_open = (estimates - half <= 0) & (estimates + half >= MARGIN)
    assert chance_of_verdict(gain, precision(), LATER, MARGIN) == pytest.approx(1 - is_open.mean(), abs=0.005)


def test_the_chance_of_a_claim_counts_what_two_ends_share_once() -> None:
    """A claim is open where its interval contains one of its ends, or both."""
    half = precision().with_evidence(LATER, 50).half_width
    estimates = later_estimates(0.3)
    is_open = (np.abs(estimates) < half) | (np.abs(estimates - MARGIN) < half)
    chance = chance_of_claim(0.3, precision(), LATER, (MARGIN, 0.0))
    assert chance == pytest.approx(1 - is_open.mean(), abs=0.005)


def test_without_more_seeds_the_verdict_stays() -> None:
    """There is no chance in what is there already."""
    assert chance_of_verdict(0.1, precision(), SEEDS, MARGIN) == 0.0
    assert chance_of_verdict(5.0, precision(), SEEDS, MARGIN) == 1.0
