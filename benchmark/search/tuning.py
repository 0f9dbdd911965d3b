"""Tuning: train each row with each of its candidates, and run it with the one that scores best on val.

The candidates are ordinary rows with one seed, in folders of their own. The stages of the best one are in the store, so
the row itself does not train them again.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError, RecordError
from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.plan import Plan, PlannedRow
from benchmark.files import write_json
from benchmark.runner.context import Context, plan_of
from benchmark.runner.job_command import JobPlans, own_plan, write_own_plan
from benchmark.runner.record_writer import is_finished, planned_record
from reports.schema import Failure, TunedCandidate, TunedRow, TuningFile, to_json

_FOLDER = "tuning"


def candidates_plan(experiment: Experiment, context: Context) -> Plan | None:
    """Return the candidates of all rows as the rows of a plan; None where the experiment has no tuning.

    They have no gates: these are for the rows themselves.
    """
    tuning = experiment.tuning
    if tuning is None:
        return None
    candidates = tuple(
        Row(_name(row, candidate), _FOLDER, dataclasses.replace(recipe, gates={}))
        for row, recipes in tuning.candidates.items()
        for candidate, recipe in recipes.items()
    )
    return plan_of(dataclasses.replace(experiment, rows=candidates, seeds=(tuning.seed,), claims=()), context)


def candidates_of(rows: Sequence[str], candidates: Plan) -> list[PlannedRow]:
    """Return the planned candidates of these rows."""
    tuning = candidates.experiment.tuning
    names = {_name(row, name) for row in rows for name in tuning.candidates.get(row, ())} if tuning else set[str]()
    return [candidate for candidate in candidates.rows if candidate.row in names]


def unfinished(candidates: Sequence[PlannedRow], context: Context, *, replace: bool) -> list[PlannedRow]:
    """Return the candidates that have no result yet. Divergence is a result: they would diverge again."""
    return [
        candidate
        for candidate in candidates
        if not is_finished(context.output / candidate.folder, candidate.config_hash, replace=replace)
        and ((failure := _failure(candidate, context)) is None or failure.step is None)
    ]


def tuning_plan(output: Path) -> Path:
    """Return the path of the plan of candidates in the folder of a run."""
    return own_plan(output, _FOLDER)


def written_plans(candidates: Plan, context: Context) -> JobPlans:
    """Write the plan of candidates, for processes elsewhere that train them; return where it is."""
    file = tuning_plan(context.output)
    write_own_plan(file, candidates, context, {})
    return JobPlans(lambda _: file, file, is_trial=True)


def tuned(experiment: Experiment, candidates: Plan, context: Context) -> Experiment:
    """Return the experiment with the best candidate of each row in its place; a row without a choice stays as it is."""
    tuning = experiment.tuning
    chosen = {row.row: row.chosen for row in _results(candidates, context).rows}
    rows = [
        dataclasses.replace(row, recipe=tuning.candidates[row.name][name])
        if tuning and (name := chosen.get(row.name)) is not None
        else row
        for row in experiment.rows
    ]
    return dataclasses.replace(experiment, rows=tuple(rows))


def finish_tuning(plan: Plan, candidates: Sequence[PlannedRow], context: Context) -> None:
    """Write tuning.json: what each candidate scored, and which was chosen.

    Args:
        plan: All candidates of the experiment.
        candidates: Those of the rows that this command runs.
        context: Where the candidates ran.

    Raises:
        RecordError: One of `candidates` has no result: it failed otherwise than by divergence. A full disk or a killed
            process must not change what is chosen.
    """
    write_json(context.output / "tuning.json", to_json(_results(plan, context)))
    failed = unfinished(candidates, context, replace=True)
    if failed:
        failure = _failure(failed[0], context)
        reason = failure.message if failure else "it has no record"
        raise RecordError(
            f"{context.output / failed[0].folder}: this candidate of tuning failed: {reason}; no row is run before all "
            "candidates have a result: mend the cause and run the same command again, what is trained is stored"
        )


def _results(candidates: Plan, context: Context) -> TuningFile:
    tuning = candidates.experiment.tuning
    assert tuning is not None  # `candidates_plan` makes no plan without
    planned, rows = {candidate.row: candidate for candidate in candidates.rows}, list[TunedRow]()
    for row, names in tuning.candidates.items():
        values = {name: _value(planned[_name(row, name)], tuning.metric.name, context) for name in names}
        entries = tuple(TunedCandidate(candidate=name, value=value) for name, value in values.items())
        todo = unfinished([planned[_name(row, name)] for name in names], context, replace=True)
        sort_keys = {name: tuning.metric.sort_key(value) for name, value in values.items() if value is not None}
        best = min(sort_keys, key=sort_keys.__getitem__, default=None)  # of equal ones the first
        rows.append(TunedRow(row=row, chosen=None if todo else best, candidates=entries))
    return TuningFile(metric=tuning.metric.name, seed=tuning.seed, rows=tuple(rows))


def _value(candidate: PlannedRow, metric: str, context: Context) -> float | None:
    """Return the score of a candidate on val; None where it failed or has yet to run."""
    record = planned_record(context.output / candidate.folder, candidate.config_hash)
    if record is None or record.status != "done":
        return None
    score = record.scores.get("val", {}).get(metric)
    if score is None:
        raise BenchmarkError(
            f"tuning by {metric}: {candidate.folder} has no such score on val; choose another tuning.metric"
        )
    return score.mean


def _failure(candidate: PlannedRow, context: Context) -> Failure | None:
    record = planned_record(context.output / candidate.folder, candidate.config_hash)
    return record.error if record else None


def _name(row: str, candidate: str) -> str:
    return f"{_FOLDER}/{row}={candidate}"
