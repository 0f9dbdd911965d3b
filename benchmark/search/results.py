"""What a search has found: one result a trial, the table of all, and the best as an experiment that runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from benchmark.experiment.load import Experiment
from benchmark.experiment.schema import RowSettings
from benchmark.experiment.search_space import Search, with_values
from benchmark.files import write_csv, write_text
from benchmark.search.study import values_of
from reports.metrics import metric as facts
from reports.schema import Record

Status = Literal["done", "rejected", "diverged", "failed", "interrupted"]
_STATES = {"done": TrialState.COMPLETE, "rejected": TrialState.PRUNED, "diverged": TrialState.PRUNED}
"""What Optuna learns from. Other trials say nothing about their parameters."""


@dataclass(frozen=True)
class TrialResult:
    """`value`: the metric on val, None if the trial was not trained to its end; `message`: why not.

    `steps_reused` of its steps were in the store before. `seconds`: from its start to its record.
    """

    number: int
    status: Status
    value: float | None
    values: dict[str, Any]
    steps_trained: int = 0
    steps_reused: int = 0
    seconds: float = 0.0
    message: str = ""


def result_of(number: int, values: dict[str, Any], metric: str, record: Record) -> TrialResult:
    """The result of a trial whose record is written."""
    value = record.scores.get("val", {}).get(metric)
    status: Status = record.status
    message = record.reason
    if status == "done" and value is None:
        status, message = "failed", f"val has no {metric}; choose another search.metric"
    if record.error and record.error.step is not None and status == "failed":
        status = "diverged"
    return TrialResult(
        number=number,
        status=status,
        value=value.mean if value else None,
        values=values,
        steps_trained=sum(stage.steps for stage in record.stages if not stage.reused),
        steps_reused=sum(stage.steps for stage in record.stages if stage.reused),
        seconds=record.provenance["seconds"],
        message=message,
    )


def tell(study: optuna.Study, trial: optuna.Trial, result: TrialResult, metric: str) -> None:
    """Write a result to the journal."""
    for name in ("status", "value", "steps_trained", "steps_reused", "seconds", "message"):
        trial.set_user_attr(name, getattr(result, name))
    state = _STATES.get(result.status, TrialState.FAIL)
    study.tell(trial, objective(metric, result.value) if state == TrialState.COMPLETE else None, state)


def objective(metric: str, value: float | None) -> float | None:
    """What the sampler sees: the metric, or for one that is best at 1 the distance from it."""
    return abs(value - 1) if value is not None and facts(metric).direction == "near 1" else value


def results(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Of all trials that came to an end, by number, also those of earlier calls."""
    return [result_in(trial, search) for trial in study.trials if trial.state.is_finished()]


def ranked(trials: Sequence[TrialResult], metric: str) -> list[TrialResult]:
    """The trials that were trained to their end, the best first."""
    done = [(facts(metric).sort_key(result.value), result) for result in trials if result.value is not None]
    return [result for _, result in sorted(done, key=lambda pair: (pair[0], pair[1].number))]


def base_result(trials: Sequence[TrialResult], search: Search) -> TrialResult | None:
    """The trial that is the base row, if it was trained to its end."""
    base = {parameter.path: parameter.base for parameter in search.parameters}
    return next((result for result in trials if result.value is not None and result.values == base), None)


def write_trials(file: Path, trials: Sequence[TrialResult], search: Search) -> None:
    """All trials as CSV, with the parameters as they stand in YAML."""
    paths = [parameter.path for parameter in search.parameters]
    header = ["trial", "status", search.metric, *paths, "steps_trained", "steps_reused", "seconds", "message"]
    write_csv(
        file,
        header,
        (
            [
                result.number,
                result.status,
                "" if result.value is None else result.value,
                *(json.dumps(result.values[path]) if path in result.values else "" for path in paths),
                result.steps_trained,
                result.steps_reused,
                result.seconds,
                result.message,
            ]
            for result in trials
        ),
    )


def write_best(file: Path, experiment: Experiment, search: Search, best: TrialResult, trials: int) -> None:
    """The best trial as the base row of an experiment of its own, with what it was found from as a row beside it.

    It stands alone (folders of data are absolute) and has the seeds of the experiment: a choice made on val with one
    seed is yet to be confirmed.
    """
    base = {parameter.path: parameter.base for parameter in search.parameters}
    default = {path: _laid_over(best.values[path], value) for path, value in base.items() if value != best.values[path]}
    settings = with_values(experiment.document, search, best.values).data
    rows = {name: settings[name] for name in RowSettings.model_fields if name in settings}
    content = {
        "name": f"{experiment.name}_best",
        **rows,
        "data": experiment.rows[0].config["data"],
        "seeds": list(experiment.seeds),
        "report": {"primary": experiment.primary, "equivalence_margin": experiment.equivalence_margin},
        **({"tables": {"search": {"default": default}}} if default else {}),
    }
    head = (
        f"# Trial {best.number}, the best of {trials} trials of {experiment.name} so far: "
        f"{search.metric} {best.value:.4f} on val with seed {search.seed}.\n"
        f"# Test was not looked at. Compare it over all seeds:  python -m benchmark run {file}\n"
    )
    write_text(file, head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _laid_over(best: Any, base: Any) -> Any:
    """What restores `base` as an override of `best`: mappings merge, so what only `best` has must be taken away."""
    if not isinstance(best, dict) or not isinstance(base, dict) or best.get("name") != base.get("name"):
        return base
    gone = dict.fromkeys(best.keys() - base.keys())
    return {**gone, **{key: _laid_over(best.get(key), value) for key, value in base.items()}}


def result_in(trial: FrozenTrial, search: Search) -> TrialResult:
    values, attributes = values_of(trial.params, search), trial.user_attrs
    if _STATES.get(attributes.get("status", ""), TrialState.FAIL) != trial.state or "status" not in attributes:
        return TrialResult(trial.number, "interrupted", None, values, message="was running when the search ended")
    names = ("status", "value", "steps_trained", "steps_reused", "seconds", "message")
    return TrialResult(number=trial.number, values=values, **{name: attributes[name] for name in names})
