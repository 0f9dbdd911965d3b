"""What came out of trials: a result each, their ranking, and the result of the base row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import FiniteFloat

from benchmark.experiment.search_space import Search
from reports.metrics import Metric
from reports.schema import Record

Status = Literal["done", "rejected", "diverged", "failed", "interrupted"]


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial."""

    number: int
    status: Status
    value: FiniteFloat | None
    """The metric on val; None if the trial was not trained to its end."""
    values: dict[str, Any]
    """The parameters by path, as they stand in YAML."""
    steps_trained: int = 0
    steps_reused: int = 0
    """Of its steps, those that were in the store before."""
    seconds: FiniteFloat = 0.0
    message: str = ""
    """Why it was not trained to its end."""


def trial_result(number: int, values: dict[str, Any], metric: str, record: Record) -> TrialResult:
    """Return the result of a trial whose record is written."""
    score = record.scores.get("val", {}).get(metric)
    status, message = record.status, record.reason
    if status == "done" and score is None:
        status, message = "failed", f"val has no {metric}; choose another search.metric"
    has_diverged = status == "failed" and record.error is not None and record.error.step is not None
    return TrialResult(
        number=number,
        status="diverged" if has_diverged else status,
        value=score.mean if score else None,
        values=values,
        steps_trained=sum(stage.steps for stage in record.stages if not stage.reused),
        steps_reused=sum(stage.steps for stage in record.stages if stage.reused),
        seconds=record.provenance["seconds"],
        message=message,
    )


def ranked(trials: Sequence[TrialResult], metric: Metric) -> list[TrialResult]:
    """Return the trials that were trained to their end, the best first; of equal ones the earlier first."""
    keys = {trial.number: metric.sort_key(trial.value) for trial in trials if trial.value is not None}
    return sorted((trial for trial in trials if trial.number in keys), key=lambda t: (keys[t.number], t.number))


def base_result(trials: Sequence[TrialResult], search: Search) -> TrialResult | None:
    """Return the trial that is the base row, if it was trained to its end."""
    base = {parameter.path: parameter.base for parameter in search.parameters}
    return next((trial for trial in trials if trial.value is not None and trial.values == base), None)
