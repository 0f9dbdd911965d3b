"""What came out of trials: a result each, their ranking, and the result of the base row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import FiniteFloat

from benchmark.experiment.plan import PlannedRow
from benchmark.experiment.search_space import Search, values_of_base
from reports.metrics import Metric
from reports.schema import Record, SearchSteps, StageSteps

Status = Literal["done", "rejected", "pruned", "diverged", "failed", "interrupted"]


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
    stages: tuple[StageSteps, ...] = ()
    """The stages of its row, and how far it needed each."""
    objectives: Mapping[str, FiniteFloat] = field(default_factory=dict[str, float])
    """By name, where a search has several; empty if the trial was not trained to its end."""


def trial_result(
    number: int, values: dict[str, Any], search: Search, row: PlannedRow, record: Record, partial_steps: int
) -> TrialResult:
    """Return the result of a trial whose record is written.

    Args:
        number: Of the trial.
        values: Its parameters by path.
        search: What trials are compared by.
        row: Its row.
        record: Of that row.
        partial_steps: Steps that were trained for it of a stage that was ended early.
    """
    score = record.scores.get("val", {}).get(search.metric.name)
    status, message = record.status, record.reason
    objectives = _objectives(search, record) if status == "done" else {}
    if status == "done" and score is None:
        status, message = "failed", f"val has no {search.metric.name}; choose another search.metric"
    missing = [objective.name for objective in search.objectives if objective.name not in objectives]
    if status == "done" and missing:
        status, message = "failed", f"its {missing[0]} was not measured; choose other search.objectives"
    ended_early = record.error is not None and record.error.step is not None
    early: dict[str, Status] = {"failed": "diverged", "rejected": "pruned"}
    return TrialResult(
        number=number,
        status=early.get(status, status) if ended_early else status,
        value=score.mean if score else None,
        values=values,
        steps_trained=sum(stage.steps for stage in record.stages if not stage.reused) + partial_steps,
        steps_reused=sum(stage.steps for stage in record.stages if stage.reused),
        seconds=record.provenance["seconds"],
        message=message,
        stages=_stages(row, record),
        objectives=objectives,
    )


def _objectives(search: Search, record: Record) -> dict[str, float]:
    """Return what is known of the objectives of a search, by name."""
    val, model = record.scores.get("val", {}), record.model
    latencies = [gate.measured for gate in record.gates if gate.quantity == "latency" and gate.measured is not None]
    measured = {name: score.mean for name, score in val.items()}
    if latencies:
        measured["latency_ms"] = latencies[0]
    if model:
        measured |= {"size_mb": model.weight_bytes["float32"] / 1e6, "parameters": model.params, "macs": model.macs}
    names = [objective.name for objective in search.objectives]
    return {name: float(measured[name]) for name in names if name in measured}


def _stages(row: PlannedRow, record: Record) -> tuple[StageSteps, ...]:
    """Return how far a trial needed or trained each of its stages.

    With several workers a stage may be finished before the result is there that ends its trial at an earlier step.
    """
    if record.status == "done":
        return tuple(StageSteps(key=stage.key, steps=stage.steps, done=stage.steps) for stage in row.stages)
    error, left, stages = record.error, 0, list[StageSteps]()
    if error and error.step is not None:
        names = [stage.name for stage in row.stages]
        before = sum(stage.steps for stage in row.stages[: names.index(error.stage)]) if error.stage in names else 0
        left = before + error.step
    trained = {stage.key for stage in record.stages if not stage.reused}
    for stage in row.stages:
        needed = min(left, stage.steps)
        done = stage.steps if stage.key in trained else needed
        stages.append(StageSteps(key=stage.key, steps=stage.steps, done=done))
        left -= needed
    return tuple(stages)


def steps_of(trials: Sequence[TrialResult]) -> SearchSteps:
    """Return the steps of all trials in the tree of their stages, against those of a search that trains every trial.

    A stage that several trials have counts once, as far as the one that needed most of it. A trial that was
    interrupted or failed is not counted: its stages are those of the trial in its place.
    """
    furthest: dict[str, int] = {}
    needed = pruned = rejected = 0
    for trial in trials:
        done, planned = sum(stage.done for stage in trial.stages), sum(stage.steps for stage in trial.stages)
        if trial.status in ("failed", "interrupted"):
            continue
        needed += done
        pruned += planned - done if trial.status == "pruned" else 0
        rejected += planned if trial.status == "rejected" else 0
        for stage in trial.stages:
            furthest[stage.key] = max(furthest.get(stage.key, 0), stage.done)
    trained = sum(furthest.values())
    return SearchSteps(trained=trained, shared=needed - trained, pruned=pruned, rejected=rejected)


def ranked(trials: Sequence[TrialResult], metric: Metric) -> list[TrialResult]:
    """Return the trials that were trained to their end, the best first; of equal ones the earlier first."""
    keys = {trial.number: metric.sort_key(trial.value) for trial in trials if trial.value is not None}
    return sorted((trial for trial in trials if trial.number in keys), key=lambda t: (keys[t.number], t.number))


def base_result(trials: Sequence[TrialResult], search: Search) -> TrialResult | None:
    """Return the trial that is the base row, if it was trained to its end."""
    base = values_of_base(search.parameters)
    return next((trial for trial in trials if trial.value is not None and trial.values == base), None)
