"""Several objectives: the trials that no other beats in all of them, and which one is picked for best.yaml."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.errors import BenchmarkError, shown
from benchmark.experiment.search_space import Search
from benchmark.search.trial_results import TrialResult, ranked
from reports.metrics import Metric

_UNDER = re.compile(r"under\s+(\w+)\s*=\s*([0-9.eE+-]+)")
PICKS = "knee, best-quality or 'under NAME=VALUE'"


@dataclass(frozen=True)
class Pick:
    """How one trial is picked from the front; `objective` and `limit` of `under`."""

    rule: Literal["knee", "best-quality", "under"] = "knee"
    objective: str = ""
    limit: float = math.inf

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"under {self.objective}={self.limit:g}" if self.rule == "under" else self.rule


def parse_pick(text: str, search: Search) -> Pick:
    """Return what `--pick` says.

    Raises:
        BenchmarkError: It says something else, there is one objective, or no such one.
    """
    if not search.objectives:
        raise BenchmarkError(f"--pick {shown(text)}: there is one objective, {search.metric.name}; drop --pick")
    if text == "knee":
        return Pick("knee")
    if text == "best-quality":
        return Pick("best-quality")
    match = _UNDER.fullmatch(text.strip())
    names = [objective.name for objective in search.objectives if objective.direction == "lower"]
    try:
        if match and match[1] in names:
            return Pick("under", match[1], float(match[2]))
    except ValueError:
        pass
    example = f", e.g. --pick 'under {names[0]}=50'; NAME is {' or '.join(names)}" if names else ""
    raise BenchmarkError(f"--pick {shown(text)}: is not {PICKS}{example}")


def front(trials: Sequence[TrialResult], objectives: Sequence[Metric]) -> list[TrialResult]:
    """Return the finished trials that no other is at least as good as in all objectives and better in one.

    Of equal ones the earlier stays. The best in the first objective stands first.
    """
    finished = [trial for trial in trials if trial.value is not None and trial.objectives]
    keys = {trial.number: _keys(trial, objectives) for trial in finished}
    beaten = {
        trial.number
        for trial in finished
        for other in finished
        if all(a <= b for a, b in zip(keys[other.number], keys[trial.number], strict=True))
        and (keys[other.number] != keys[trial.number] or other.number < trial.number)
    }
    return sorted((trial for trial in finished if trial.number not in beaten), key=lambda trial: keys[trial.number])


def picked(trials: Sequence[TrialResult], search: Search, pick: Pick) -> TrialResult | None:
    """Return the trial for best.yaml: with one objective the best; None where no trial is finished, or keeps the limit.

    The knee is the trial of the front that is nearest to the best value in every objective, each as a share of its
    range on the front.
    """
    if not search.objectives:
        return next(iter(ranked(trials, search.metric)), None)
    candidates = front(trials, search.objectives)
    if pick.rule == "under":
        candidates = [trial for trial in candidates if trial.objectives[pick.objective] <= pick.limit]
    if pick.rule == "knee":
        keys = {trial.number: _keys(trial, search.objectives) for trial in candidates}
        columns = list(zip(*keys.values(), strict=True))
        return min(candidates, key=lambda trial: _distance(keys[trial.number], columns), default=None)
    return next(iter(ranked(candidates, search.metric)), None)


def _keys(trial: TrialResult, objectives: Sequence[Metric]) -> tuple[float, ...]:
    return tuple(objective.sort_key(trial.objectives[objective.name]) for objective in objectives)


def _distance(keys: Sequence[float], columns: Sequence[Sequence[float]]) -> float:
    ranges = [max(column) - min(column) for column in columns]
    shares = [(key - min(column)) / (size or 1.0) for key, column, size in zip(keys, columns, ranges, strict=True)]
    return math.hypot(*shares)
