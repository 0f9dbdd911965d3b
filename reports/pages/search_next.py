"""What to search next, by rules over what is stored of a search; each names its reason."""

import math
from collections.abc import Sequence

from reports import text
from reports.results.search import StoredSearch
from reports.results.trials import Trial
from reports.schema import SearchedParameter

_FEW_TRIALS = 20
_SMALL_SHARE = 0.05
_MANY = 0.4
"""Of the trials."""
_EDGE = 0.05
"""Of a range."""


def next_searches(search: StoredSearch, best: Trial | None) -> tuple[str, ...]:
    """Return what to search next, a sentence each, the most urgent first; `best`: by one seed on val."""
    trials = search.trials.trials
    if not trials:
        return ()
    return tuple(
        text.printable(advice)
        for advice in (
            *_of_outcomes(trials),
            *_of_confirmation(search, best),
            *(_of_edges(search, best) if best and not search.objectives else ()),
            *_of_importances(search),
            *_of_number(trials),
        )
    )


def _of_outcomes(trials: Sequence[Trial]) -> list[str]:
    shares = {
        status: sum(trial.status == status for trial in trials) / len(trials) for status in ("rejected", "diverged")
    }
    advice: list[str] = []
    if shares["rejected"] > _MANY:
        advice.append(
            f"{shares['rejected']:.0%} of the trials fail a gate: leave out the largest networks, so that more trials "
            "say something."
        )
    if shares["diverged"] > _MANY / 2:
        advice.append(f"{shares['diverged']:.0%} of the trials diverged: lower the upper ends of the learning rates.")
    return advice


def _of_confirmation(search: StoredSearch, best: Trial | None) -> list[str]:
    confirmed = search.confirmed
    if search.objectives or best is None:
        return []
    if confirmed is None:
        return ["The best trial was chosen by one seed: add `confirm: {top: 3, seeds: 5}` to the section search."]
    if best.number not in [trial.trial for trial in confirmed.trials] and best.number != 0:
        return [f"Trial {best.number} came after the confirmation and is better by one seed: run the search again."]
    if any(trial.verdict is None for trial in confirmed.trials):
        return ["A confirmed trial has no verdict: give search.confirm.seeds at least 5."]
    if confirmed.winner is None:
        return [
            "No trial is proven better: search wider ranges or other parameters, or compare on more val images, which "
            "narrows the intervals."
        ]
    return []


def _of_edges(search: StoredSearch, best: Trial) -> list[str]:
    parameters = search.settings.parameters if search.settings else ()
    advice: list[str] = []
    for parameter in parameters:
        value = best.values.get(parameter.path)
        place = _place(parameter, value)
        if place is not None and not _EDGE < place < 1 - _EDGE:
            end = "low" if place < 0.5 else "high"
            advice.append(
                f"The best trial has {parameter.path} {value:.4g}, at the {end} end of its range: widen it there."
            )
    return advice


def _place(parameter: SearchedParameter, value: object) -> float | None:
    """Return where a value lies in its range, 0 to 1; None for choices."""
    low, high = parameter.low, parameter.high
    if low is None or high is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if parameter.log and min(low, value) > 0:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low) if high > low else None


def _of_importances(search: StoredSearch) -> list[str]:
    small = (
        [entry.path for entry in search.settings.importances if entry.high < _SMALL_SHARE] if search.settings else []
    )
    if not small:
        return []
    return [f"The metric hardly varies with {text.listing(small)}: fix it, and search something else in its place."]


def _of_number(trials: Sequence[Trial]) -> list[str]:
    finished = sum(trial.value is not None for trial in trials)
    if finished >= _FEW_TRIALS:
        return []
    return [f"{text.count(finished, 'trial')} finished: with {_FEW_TRIALS} the page says what the metric varies with."]
