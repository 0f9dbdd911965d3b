"""Guard against the lucky seed: the best trials and the base row again, with seeds that no trial had.

A trial was chosen from many by one seed on val, so part of its lead is luck. Here the best ones and the base row are
trained with fresh seeds, as ordinary rows, and compared on val by the intervals of reports. The winner is the best of
those with a proven gain, or there is none. Test is read once, for the winner and the base row.
"""

import csv
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.experiment.load import Row
from benchmark.experiment.plan import Plan, PlannedRow
from benchmark.experiment.resolve import resolve
from benchmark.experiment.schema import SPLITS
from benchmark.experiment.search_space import Search, values_of_base, with_values
from benchmark.files import write_json
from benchmark.inference.device_setup import torch_threads
from benchmark.runner.context import Context, plan_of, with_cached_sources
from benchmark.runner.estimates import estimate
from benchmark.runner.events import Event, OnEvent
from benchmark.runner.job_command import JobPlans, own_plan, write_own_plan
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.plan_file import plan_file
from benchmark.runner.record_writer import is_finished
from benchmark.runner.run import run_rows
from benchmark.runner.threads import threads_of_test
from benchmark.runner.val_scores import images_on_val, load_network
from benchmark.search.judge import DEFAULT, gains_over_default, interval_of, judge
from benchmark.search.search import Setup
from benchmark.search.search_events import ConfirmStarted
from benchmark.search.trial_files import chosen_with_confirmation, write_best
from benchmark.search.trial_results import TrialResult, ranked
from reports.errors import FileFormatError
from reports.metrics import Metric
from reports.schema import ConfirmFile, GainInterval, PlanRow, read, to_json

_VAL, _TEST = "confirm", "confirm_test"
"""Folders of the rows that are scored on val, and on test."""


def confirm(
    setup: Setup, trials: Sequence[TrialResult], on_event: Callable[[Event | ConfirmStarted], None]
) -> ConfirmFile | None:
    """Train the best trials and the base row with fresh seeds, compare them; write confirm.json and best.yaml.

    Returns:
        What came out; None where no trial but the base row was trained to its end. What was confirmed before is read.

    Raises:
        OSError: The disk is full.
    """
    candidates = {f"trial.{trial.number}": trial for trial in _candidates(trials, setup.search)}
    if not candidates:
        return None
    plan = _plan(setup, _VAL, {DEFAULT: {}, **{name: trial.values for name, trial in candidates.items()}})
    result = _earlier(plan, setup.context)
    if result is None:
        on_event(_started(plan, setup, [trial.number for trial in candidates.values()]))
        result = _compared(plan, setup, candidates, on_event)
    best = candidates.get(f"trial.{result.winner}") or ranked(trials, setup.search.metric)[0]
    comment = chosen_with_confirmation(best, result, setup.experiment, setup.search)
    write_json(setup.context.output / "confirm.json", to_json(result))
    write_best(setup.context.output / "best.yaml", setup.experiment, setup.search, best, comment)
    return result


def _started(plan: Plan, setup: Setup, trials: Sequence[int]) -> ConfirmStarted:
    """Return what is to be trained, and how long that will take; a network that was never timed is timed now."""
    workers = len(_devices(plan, setup))
    expected = estimate(plan, setup.context, workers)
    steps = sum(stage.steps for key, stage in plan.stages.items() if setup.context.store.finished(key) is None)
    todo = sum(setup.context.store.finished(key) is None for key in plan.stages)
    seeds = plan.experiment.seeds
    return ConfirmStarted(tuple(trials), seeds, todo, steps, expected.total, expected.note, workers)


def _compared(plan: Plan, setup: Setup, candidates: Mapping[str, TrialResult], on_event: OnEvent) -> ConfirmFile:
    context = _run(plan, setup, on_event, ("train", "val"), is_trial=True)
    metric, margin = setup.search.metric, _margin(setup)
    scores = {
        name.rpartition("/")[2]: [_val_scores(row, metric, context) for row in seeds]
        for name, seeds in _finished_rows(plan, context).items()
    }
    numbers = {name: trial.number for name, trial in candidates.items()}
    judged = judge(scores, _plan_rows(plan, context), numbers, margin)
    gains = {trial.trial: trial.gain.difference for trial in judged if trial.verdict == "gain" and trial.gain}
    winner = max(gains, key=gains.__getitem__, default=None)
    return ConfirmFile(
        metric=metric.name,
        margin=margin,
        seeds=plan.experiment.seeds,
        rows={row.folder: row.config_hash for row in plan.rows},
        trials=judged,
        winner=winner,
        test=None if winner is None else gain_on_test(setup, candidates[f"trial.{winner}"], on_event),
    )


def gain_on_test(setup: Setup, winner: TrialResult, on_event: OnEvent) -> GainInterval | None:
    """Test the winner and the base row with the fresh seeds; return the gain; None where a row failed."""
    name = f"trial.{winner.number}"
    plan = _plan(setup, _TEST, {DEFAULT: {}, name: winner.values})
    context = _run(plan, setup, on_event, SPLITS, is_trial=False)
    finished = _finished_rows(plan, context)
    scores = {
        row.rpartition("/")[2]: [_test_scores(seed, setup.search.metric, context) for seed in seeds]
        for row, seeds in finished.items()
    }
    if not {DEFAULT, name} <= scores.keys():
        return None
    gains = gains_over_default(scores, _plan_rows(plan, context), [name])
    return interval_of(gains[name]) if name in gains else None


def fresh_seeds(search: Search, seeds: Sequence[int], count: int) -> tuple[int, ...]:
    """Return seeds that no trial trained with: those of the experiment first, since `run` has use for their stages."""
    candidates = dict.fromkeys(itertools.chain(seeds, range(count + len(seeds) + 1)))
    return tuple(seed for seed in candidates if seed != search.seed)[:count]


def _candidates(trials: Sequence[TrialResult], search: Search) -> list[TrialResult]:
    base = values_of_base(search.parameters)
    top = search.confirm.top if search.confirm else 0
    return [trial for trial in ranked(trials, search.metric) if trial.values != base][:top]


def _plan(setup: Setup, folder: str, values: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Return the plan of rows with these settings. They have no gates: the trials have passed them."""
    experiment, search, registry = setup.experiment, setup.search, setup.context.registry
    rows = tuple(
        Row(
            f"{folder}/{name}",
            folder,
            dataclasses.replace(
                resolve(with_values(experiment.document, search.parameters, settings), registry), gates={}
            ),
        )
        for name, settings in values.items()
    )
    seeds = fresh_seeds(search, experiment.seeds, search.confirm.seeds if search.confirm else 0)
    return plan_of(dataclasses.replace(experiment, rows=rows, seeds=seeds, claims=()), setup.context)


def _run(plan: Plan, setup: Setup, on_event: OnEvent, splits: Sequence[str], *, is_trial: bool) -> Context:
    """Run what is not finished of a plan; return the context with the images of these splits."""
    context = with_cached_sources(plan.experiment.data, setup.context, on_event, splits)
    todo = [row for row in plan.rows if not is_finished(context.output / row.folder, row.config_hash, replace=True)]
    executor = None
    if setup.open_executor and todo:
        file = own_plan(context.output, plan.rows[0].row.partition("/")[0])
        write_own_plan(file, plan, context, {})
        plans = JobPlans(lambda _: file, file, is_trial)
        executor = setup.open_executor(context, plans, setup.workers or len(todo))
    run_rows(todo, context, _devices(plan, setup), on_event, is_trial=is_trial, executor=executor)
    return context


def _devices(plan: Plan, setup: Setup) -> tuple[str, ...]:
    return worker_devices(plan, setup.context, workers=setup.workers)


def _earlier(plan: Plan, context: Context) -> ConfirmFile | None:
    """Return what was confirmed before, if it was the same rows and all have finished."""
    try:
        earlier = read(ConfirmFile, context.output / "confirm.json")
    except FileFormatError:
        return None
    is_same = earlier.rows == {row.folder: row.config_hash for row in plan.rows}
    is_whole = len(_finished_rows(plan, context)) == len({row.row for row in plan.rows})
    return earlier if is_same and is_whole and (earlier.winner is None or earlier.test) else None


def _finished_rows(plan: Plan, context: Context) -> dict[str, list[PlannedRow]]:
    """Return the rows that have finished with all seeds, by name."""
    rows: dict[str, list[PlannedRow]] = {}
    for row in plan.rows:
        rows.setdefault(row.row, []).append(row)
    return {
        name: seeds
        for name, seeds in rows.items()
        if all(is_finished(context.output / row.folder, row.config_hash, replace=True) for row in seeds)
    }


def _plan_rows(plan: Plan, context: Context) -> dict[str, PlanRow]:
    """Return the planned rows by their names without the folder."""
    rows = plan_file(plan, context.command, context.output).rows
    names = [row.row.rpartition("/")[2] for row in rows]
    return {name: row.model_copy(update={"row": name}) for name, row in zip(names, rows, strict=True)}


def _val_scores(row: PlannedRow, metric: Metric, context: Context) -> dict[str, float]:
    """Return the goodness of each image of val."""
    with torch_threads(threads_of_test(row, context.registry)):
        images = images_on_val(row, load_network(row, row.last_key, context), context)
        return {
            image.pair.name: -metric.sort_key(image.metrics[metric.name])
            for image in images
            if metric.name in image.metrics
        }


def _test_scores(row: PlannedRow, metric: Metric, context: Context) -> dict[str, float]:
    """Return the goodness of each image of test, as the row's file of scores has it."""
    with (context.output / row.folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {
            line["image"]: -metric.sort_key(float(line["value"]))
            for line in csv.DictReader(file)
            if (line["split"], line["metric"]) == ("test", metric.name)
        }


def _margin(setup: Setup) -> float:
    report = setup.experiment.report
    return report.equivalence_margin if setup.search.metric.name == report.primary else 0.0
