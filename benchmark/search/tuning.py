"""Tuning: every row is tried with each of its candidates, and runs with the one that reaches most on val.

The tries are ordinary rows with one seed in a folder of their own. What the best of them trained is in the store, so
the row itself does not train it again.
"""

import dataclasses
from collections.abc import Generator, Mapping, Sequence

from benchmark.errors import BenchmarkError
from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.plan import Plan, Run
from benchmark.experiment.tuning import Tuning
from benchmark.files import read_json, write_json
from benchmark.runner.context import Context
from benchmark.runner.progress_events import Event
from benchmark.runner.record_writer import is_finished
from benchmark.runner.run import check_patches, measured_groups, plan_of, with_records
from benchmark.runner.worker_pool import run_groups, worker_count
from reports.metrics import metric as facts
from reports.schema import Record, TunedCandidate, TunedRow, TuningFile, to_json

FOLDER = "tuning"


def tries_plan(experiment: Experiment, tuning: Tuning, context: Context) -> Plan:
    """The candidates of all rows as rows of a plan. They are not judged by gates: that is for the rows themselves."""
    tries = tuple(
        Row(_name(row, candidate), FOLDER, {**config, "gates": {}})
        for row, candidates in tuning.candidates.items()
        for candidate, config in candidates.items()
    )
    asked = dataclasses.replace(experiment, rows=tries, seeds=(tuning.seed,), claims=(), tuning=None)
    return plan_of(asked, context)


def tries_of(rows: Sequence[str], tries: Plan, experiment: Experiment) -> list[Run]:
    """The tries of these rows."""
    candidates = experiment.tuning.candidates if experiment.tuning else {}
    names = {_name(row, candidate) for row in rows for candidate in candidates.get(row, ())}
    return [run for run in tries.runs if run.row in names]


def unfinished(tries: Sequence[Run], context: Context, *, replace: bool) -> list[Run]:
    """The tries that have yet to come to an end. One that diverged has: it would diverge again."""
    return [
        run
        for run in tries
        if not is_finished(context.output / run.folder, run, replace=replace) and not _diverged(run, context)
    ]


def _diverged(run: Run, context: Context) -> bool:
    record = read_json(context.output / run.folder / "record.json")
    if not isinstance(record, dict) or record.get("config_hash") != run.config_hash:
        return False
    return record.get("status") == "failed" and (record.get("error") or {}).get("step") is not None


def run_tries(
    plan: Plan, context: Context, todo: Sequence[Run], estimates: Mapping[str, float]
) -> Generator[Event, None, list[Record]]:
    """Run these of the tries, the longest first; `estimates`: seconds of stages by key. Returns their records."""
    check_patches(plan, context)
    groups = yield from measured_groups(todo, context, estimates, is_trial=True)
    events = run_groups(groups, plan.experiment.name, context, worker_count(plan, context))
    return (yield from with_records(events))


def tuned(experiment: Experiment, tries: Plan, context: Context) -> Experiment:
    """The experiment with each tuned row as the best of its tries; those without a finished try stay as written."""
    if experiment.tuning is None:
        return experiment
    best = {
        row: _best(candidates, experiment.tuning.metric)
        for row, candidates in _tries(tries, experiment, context).items()
    }
    rows = [_as_tuned(row, best.get(row.name), experiment.tuning) for row in experiment.rows]
    return dataclasses.replace(experiment, rows=tuple(rows))


def write_tuning(experiment: Experiment, tries: Plan, context: Context) -> None:
    """What each candidate reached and which was chosen, for reports."""
    if experiment.tuning is None:
        return
    metric, seed = experiment.tuning.metric, experiment.tuning.seed
    rows = tuple(
        TunedRow(row=row, chosen=_best(candidates, metric), candidates=tuple(candidates))
        for row, candidates in _tries(tries, experiment, context).items()
    )
    write_json(context.output / "tuning.json", to_json(TuningFile(metric=metric, seed=seed, rows=rows)))


def _as_tuned(row: Row, candidate: str | None, tuning: Tuning) -> Row:
    return row if candidate is None else dataclasses.replace(row, config=tuning.candidates[row.name][candidate])


def _tries(tries: Plan, experiment: Experiment, context: Context) -> dict[str, list[TunedCandidate]]:
    """By tuned row, its candidates in the order of the file."""
    runs = {run.row: run for run in tries.runs}
    tuning = experiment.tuning
    if tuning is None:
        return {}
    return {
        row: [
            TunedCandidate(candidate=name, value=_reached(runs[_name(row, name)], tuning.metric, context))
            for name in candidates
        ]
        for row, candidates in tuning.candidates.items()
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


def _best(tries: Sequence[TunedCandidate], metric: str) -> str | None:
    """The candidate that reached most, of equals the first; None if none has come to an end."""
    values = {
        candidate_run.candidate: candidate_run.value for candidate_run in tries if candidate_run.value is not None
    }
    return min(values, key=lambda name: facts(metric).sort_key(values[name]), default=None)


def _name(row: str, candidate: str) -> str:
    return f"{FOLDER}/{row}={candidate}"
