"""What fresh seeds prove of trials against the base row: intervals as in reports, a verdict or why there is none."""

from collections.abc import Mapping, Sequence

import numpy as np

from reports.schema import ConfirmedTrial, GainInterval, PlanRow
from reports.statistics.intervals import Estimate, compare, is_covered, verdict_of
from reports.statistics.seed_noise import seed_noise_groups

DEFAULT = "default"
"""The base row among the rows that are compared."""
_FEWEST_IMAGES = 2

Scores = Mapping[str, Sequence[Mapping[str, float]]]
"""Row -> for each seed, image -> goodness, higher is better."""


def judge(
    scores: Scores, plan_rows: Mapping[str, PlanRow], trials: Mapping[str, int], margin: float
) -> tuple[ConfirmedTrial, ...]:
    """Return what is proven of each trial against the base row.

    Args:
        scores: Goodness on val; a row that has not finished with all seeds is absent.
        plan_rows: By name, with the keys of their stages.
        trials: Number of each trial, by name.
        margin: Smallest gain that matters.
    """
    names = [name for name in trials if name in scores and DEFAULT in scores]
    gains = gains_over_default(scores, plan_rows, names)
    judged = list[ConfirmedTrial]()
    for name, number in trials.items():
        gain = gains.get(name)
        if gain is None:
            reason = _obstacle(name, scores)
            judged.append(ConfirmedTrial(trial=number, reason=reason))
        elif not is_covered(gain.seeds, np.array([gain.pooled]))[0]:
            reason = "too few rows with similar seed noise for so few seeds; with 5 seeds none are needed"
            judged.append(ConfirmedTrial(trial=number, gain=interval_of(gain), reason=reason))
        else:
            verdict = verdict_of(gain.low, gain.high, margin)
            judged.append(ConfirmedTrial(trial=number, gain=interval_of(gain), verdict=verdict))
    return tuple(judged)


def gains_over_default(scores: Scores, plan_rows: Mapping[str, PlanRow], names: Sequence[str]) -> dict[str, Estimate]:
    """Return the gain of each row over the base row; the intervals hold together.

    Empty where fewer than two images have a score in every row and seed.
    """
    rows = [DEFAULT, *names] if names else []
    image_sets = [set(seed) for row in rows for seed in scores[row]]
    images = sorted(set[str].intersection(*image_sets)) if image_sets else []
    if len(images) < _FEWEST_IMAGES:
        return {}
    arrays = {row: np.array([[seed[image] for image in images] for seed in scores[row]]) for row in rows}
    noise_groups = seed_noise_groups([plan_rows[name] for name in names], plan_rows[DEFAULT])
    return compare(arrays, DEFAULT, noise_groups=noise_groups, comparisons=len(names))


def _obstacle(name: str, scores: Scores) -> str:
    missing = next((row for row in (DEFAULT, name) if row not in scores), None)
    if missing:
        return f"{'the base row' if missing == DEFAULT else 'it'} has not finished with all seeds"
    return f"fewer than {_FEWEST_IMAGES} images of val have the metric"


def interval_of(gain: Estimate) -> GainInterval:
    """Return an estimate as it stands in a file."""
    return GainInterval(difference=gain.difference, low=gain.low, high=gain.high)
