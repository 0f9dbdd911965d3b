"""A search from beginning to end, as a generator of events: whoever consumes it shows progress."""

import dataclasses
import math
import statistics
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import optuna

from benchmark.experiment.load import Experiment
from benchmark.experiment.plan import Plan, hash_of
from benchmark.experiment.search_space import Choices, Search
from benchmark.runner.context import Context, cache_sources
from benchmark.runner.memory_preflight import machine_bytes, needed_bytes
from benchmark.runner.progress_events import Event, RowFinished, StageFinished
from benchmark.runner.run import check, check_patches
from benchmark.runner.time_estimate import estimate_seconds
from benchmark.runner.worker_pool import run_as_taken
from benchmark.search.dispatch import Dispatcher, Planner
from benchmark.search.results import TrialResult, ranked, result_in, results, write_best, write_trials
from benchmark.search.study import count_finished, failed, importances, open_study, take_up

_TRIALS_FOR_A_WORKER = 5
"""Trials that run at once learn nothing from each other, so short searches get few workers."""
_FEWEST_FOR_IMPORTANCES = 10


@dataclass(frozen=True)
class Setup:
    """What to search, where to write, and with how many processes (None: as many as are of use)."""

    experiment: Experiment
    search: Search
    context: Context
    journal: Path
    workers: int | None


@dataclass(frozen=True)
class SearchStarted:
    """`todo` of `total` trials are yet to be tried, `workers` at a time. `gates`: of the base row, a line each.

    `at_most_seconds`: the estimate if trials share no stage in which they may differ.
    """

    todo: int
    total: int
    workers: int
    at_most_seconds: float
    gates: tuple[str, ...]


@dataclass(frozen=True)
class TrialFinished:
    """A trial came to an end; `best` so far; `done` of `total` trials are."""

    folder: str
    result: TrialResult
    best: TrialResult | None
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Outcome:
    """`trials`: all of the study; `failed`: those of them that the next call tries again.

    `importances`: the share of each parameter in how much the metric varies; empty after too few trials.
    """

    trials: list[TrialResult]
    failed: list[TrialResult]
    importances: dict[str, float]


SearchEvent = Event | SearchStarted | TrialFinished


def run_search(setup: Setup, *, replace: bool) -> Generator[SearchEvent, None, Outcome]:
    """Try what is left of the trials; keeps `trials.csv` and `best.yaml` in the output folder up to date.

    Stopped at any moment, the next call goes on. Raises BenchmarkError before anything is trained.
    """
    search, experiment = setup.search, setup.experiment
    planner = Planner(experiment, search, setup.context)
    base, times = planner.plan(0, {}), _times_trained(planner)
    identity = hash_of([repr(search.parameters), search.metric, base.runs[0].config_hash])
    with open_study(setup.journal, experiment.name, search, identity, replace=replace) as study:
        take_up(study, search)
        todo = max(0, search.trials - count_finished(study))
        if todo:
            setup = yield from _with_cached_data(setup, base)
            seconds = estimate_seconds(base, setup.context)
            at_most = sum(seconds[key] * min(todo, times[key]) for key in seconds)
            yield from _run_trials(setup, study, base, todo, at_most)
        return _outcome(setup, study)


def _times_trained(planner: Planner) -> dict[str, float]:
    """By key, how often at most a stage of the base row is trained, in itself or with other settings.

    Raises BenchmarkError if the base row with an extreme value of a parameter can make no trial.
    """
    times = dict.fromkeys(planner.plan(0, {}).stages, 1.0)
    for parameter in planner.search.parameters:
        plans = [planner.plan(0, {parameter.path: value}) for value in parameter.extremes]
        for plan in plans:
            check(plan, planner.context, replace=True)
        for key in times:
            if any(key not in plan.stages for plan in plans):
                times[key] *= len(plans) if isinstance(parameter.domain, Choices) else math.inf
    return times


def _with_cached_data(setup: Setup, base: Plan) -> Generator[Event, None, Setup]:
    """With the images that trials read decoded or rendered; those of test are not."""
    context = setup.context
    cached = yield from cache_sources(base.experiment, context.sources, context.registry, ("train", "val"))
    context = dataclasses.replace(context, sources={**context.sources, **cached})
    check_patches(base, context)
    return dataclasses.replace(setup, context=context)


def _run_trials(
    setup: Setup, study: optuna.Study, base: Plan, todo: int, at_most_seconds: float
) -> Generator[SearchEvent]:
    total, seconds = setup.search.trials, list[float]()
    workers = setup.workers or _default_workers(setup, base)
    dispatcher = Dispatcher(study, Planner(setup.experiment, setup.search, setup.context), todo, workers)
    yield SearchStarted(todo, total, workers, at_most_seconds, dispatcher.measure_base(base.runs[0]))
    for event in run_as_taken(dispatcher.take, setup.experiment.name, setup.context, workers):
        if isinstance(event, StageFinished):
            dispatcher.trained(event.folder, event.result.key)
        if isinstance(event, RowFinished):
            result = dispatcher.finish(event.folder, event.record)
            seconds.append(result.seconds)
            left = dispatcher.unfinished
            seconds_left = statistics.median(seconds) * left / workers
            yield TrialFinished(event.folder, result, _write(setup, study), total - left, total, seconds_left)
        else:
            yield event


def _default_workers(setup: Setup, base: Plan) -> int:
    """One a core, but not so many that trials learn nothing from each other, nor more than memory has room for."""
    machine = setup.context.machine
    if machine.device.type != "cpu":
        return 1
    run = base.runs[0]
    needed = needed_bytes(run, run.stages, setup.context.registry)[0] if run.stages else 1
    in_memory = machine_bytes(machine) // max(1, needed)
    return max(1, min(machine.threads, setup.search.trials // _TRIALS_FOR_A_WORKER, in_memory))


def _write(setup: Setup, study: optuna.Study) -> TrialResult | None:
    """Write what is known by now; returns the best trial."""
    trials = results(study, setup.search)
    write_trials(setup.context.output / "trials.csv", trials, setup.search)
    best = next(iter(ranked(trials, setup.search.metric)), None)
    if best:
        write_best(setup.context.output / "best.yaml", setup.experiment, setup.search, best, len(trials))
    return best


def _outcome(setup: Setup, study: optuna.Study) -> Outcome:
    _write(setup, study)
    trials = results(study, setup.search)
    enough = len(ranked(trials, setup.search.metric)) >= _FEWEST_FOR_IMPORTANCES
    failures = [result_in(trial, setup.search) for trial in failed(study)]
    return Outcome(trials, failures, importances(study) if enough else {})
