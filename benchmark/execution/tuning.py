"""Tuning: every row is tried with each of its candidates, and runs with the one that reaches most on val.

The tries are ordinary rows with one seed in a folder of their own. What the best of them trained is in the store, so
the row itself does not train it again.
"""

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.execution.context import Context
from benchmark.execution.events import Event, RowSkipped
from benchmark.execution.execute import check_patches, environment
from benchmark.execution.local import Group, Task, group_runs, run_groups, worker_count
from benchmark.execution.memory import does_not_fit
from benchmark.execution.records import is_finished
from benchmark.execution.rows import measure_model
from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.plan import Plan, Run, make_plan
from benchmark.experiment.tuning import Tuning
from benchmark.files import read_json, write_json

FOLDER = "tuning"


@dataclass(frozen=True)
class Try:
    """What one candidate of a row reached on val; None where it failed or has yet to run."""

    candidate: str
    value: float | None


def tries_plan(experiment: Experiment, tuning: Tuning, rows: Sequence[str], context: Context) -> Plan:
    """The candidates of these rows as rows of a plan. They are not judged by gates: that is for the rows themselves."""
    tries = tuple(
        Row(_name(row, candidate), FOLDER, {**config, "gates": {}})
        for row, candidates in tuning.candidates.items()
        if row in rows
        for candidate, config in candidates.items()
    )
    fingerprints = {identity: source.fingerprint for identity, source in context.sources.items()}
    asked = dataclasses.replace(experiment, rows=tries, seeds=(tuning.seed,), claims=(), tuning=None)
    return make_plan(asked, fingerprints, environment(context.machine.device), context.registry)


def unfinished(plan: Plan, context: Context, *, replace: bool) -> list[Run]:
    """The tries that have yet to come to an end. One that diverged has: it would diverge again."""
    return [
        run
        for run in plan.runs
        if not is_finished(context.output / run.folder, run, replace=replace) and not _diverged(run, context)
    ]


def _diverged(run: Run, context: Context) -> bool:
    record = read_json(context.output / run.folder / "record.json")
    if not isinstance(record, dict) or record.get("config_hash") != run.config_hash:
        return False
    return record.get("status") == "failed" and "step" in (record.get("error") or {})


def run_tries(plan: Plan, context: Context, todo: Sequence[Run], estimates: Mapping[str, float]) -> Generator[Event]:
    """Run those of the tries that are to do, the longest first; `estimates`: seconds of stages by key."""
    yield from (RowSkipped(run.folder) for run in plan.runs if run not in todo)
    check_patches(plan, context)
    groups: list[Group] = [
        tuple(Task(run, measure_model(run, context), does_not_fit(run, context), is_trial=True) for run in group)
        for group in group_runs(todo)
    ]
    groups.sort(key=lambda group: -sum(estimates.get(stage.key, 0.0) for task in group for stage in task.run.stages))
    yield from run_groups(groups, plan.experiment.name, context, worker_count(plan, context))


def tuned(experiment: Experiment, tries: Plan, context: Context) -> Experiment:
    """The experiment with each tuned row as the best of its tries; those without a finished try stay as written."""
    if experiment.tuning is None:
        return experiment
    best = {row: _best(found, experiment.tuning.metric) for row, found in _tries(tries, experiment, context).items()}
    rows = [_as_tuned(row, best.get(row.name), experiment.tuning) for row in experiment.rows]
    return dataclasses.replace(experiment, rows=tuple(rows))


def write_tuning(experiment: Experiment, tries: Plan, context: Context) -> None:
    """What each candidate reached and which was chosen, for reports."""
    if experiment.tuning is None:
        return
    metric, seed = experiment.tuning.metric, experiment.tuning.seed
    rows = [
        {"row": row, "chosen": _best(found, metric), "tries": [dataclasses.asdict(one) for one in found]}
        for row, found in _tries(tries, experiment, context).items()
    ]
    write_json(context.output / "tuning.json", {"schema": 1, "metric": metric, "seed": seed, "rows": rows})


def _as_tuned(row: Row, candidate: str | None, tuning: Tuning) -> Row:
    return row if candidate is None else dataclasses.replace(row, config=tuning.candidates[row.name][candidate])


def _tries(tries: Plan, experiment: Experiment, context: Context) -> dict[str, list[Try]]:
    """By tuned row, its candidates in the order of the file, as far as they are in this plan."""
    runs = {run.row: run for run in tries.runs}
    tuning = experiment.tuning
    if tuning is None:
        return {}
    return {
        row: [Try(name, _reached(runs[_name(row, name)], tuning.metric, context)) for name in candidates]
        for row, candidates in tuning.candidates.items()
        if _name(row, next(iter(candidates))) in runs
    }


def _reached(run: Run, metric: str, context: Context) -> float | None:
    record = read_json(context.output / run.folder / "record.json")
    if not isinstance(record, dict) or record.get("config_hash") != run.config_hash or record.get("status") != "done":
        return None
    try:
        return float(record["scores"]["val"][metric]["mean"])
    except KeyError:
        raise BenchmarkError(
            f"tuning by {metric}: {run.folder} has no such score on val; choose another tuning.metric"
        ) from None


def _best(tries: Sequence[Try], metric: str) -> str | None:
    """The candidate that reached most, of equals the first; None if none has come to an end."""
    values = {one.candidate: one.value for one in tries if one.value is not None}
    return max(values, key=lambda name: _merit(metric, values[name]), default=None)


def _merit(metric: str, value: float) -> float:
    match METRICS[metric].direction:
        case "higher":
            return value
        case "lower":
            return -value
        case "near_one":
            return -abs(value - 1)


def _name(row: str, candidate: str) -> str:
    return f"{FOLDER}/{row}={candidate}"
