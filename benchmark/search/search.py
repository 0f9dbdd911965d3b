"""A search: its trials as rows, their results, and the best trial as an experiment that runs."""

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml

from benchmark.errors import BenchmarkError, ExperimentError, counted
from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.plan import Plan, PlannedRow, hash_of
from benchmark.experiment.portable_paths import relative_paths
from benchmark.experiment.resolve import resolve
from benchmark.experiment.schema import RowSettings
from benchmark.experiment.search_space import Choices, Search, with_values
from benchmark.files import write_csv, write_json, write_text
from benchmark.runner.context import Context, plan_of, with_cached_sources
from benchmark.runner.estimates import estimate
from benchmark.runner.events import Event, JobFailed, JobStopped, MeasuredModel, RowFinished
from benchmark.runner.jobs import MeasureNetwork, run_job
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.preflight import all_sides, check_metrics, check_patches, preflight
from benchmark.runner.row import describe_gate
from benchmark.search.study import (
    TrialResult,
    ask,
    count_finished,
    failures,
    open_study,
    results,
    resume,
    space_size,
    tell,
    values_of,
)
from reports.metrics import IMAGE_METRICS, Metric
from reports.schema import GateResult, MetricFacts, Record, SearchFile, to_json

TABLE = "trial"
_TRIALS_PER_WORKER = 5
_LEAST_FOR_IMPORTANCES = 10


@dataclass(frozen=True)
class Setup:
    """What to search, and where to write."""

    experiment: Experiment
    search: Search
    context: Context
    journal: Path
    workers: int | None
    """Trials at once; None: as many as are of use."""

    def plan(self, number: int, values: dict[str, Any]) -> Plan:
        """Return the plan of a trial. Raises ExperimentError if its values make no valid row together."""
        recipe = resolve(with_values(self.experiment.document, self.search, values), self.context.registry)
        row = Row(f"{TABLE}.{number}", TABLE, recipe)
        return plan_of(dataclasses.replace(self.experiment, rows=(row,), seeds=(self.search.seed,)), self.context)


@dataclass(frozen=True)
class SearchStarted:
    """`todo` of `total` trials are to be run, `workers` at once. `total`: no more than there are different settings."""

    todo: int
    total: int
    workers: int
    at_most_seconds: float
    """The estimate if trials share no stage in which they may differ."""
    gates: tuple[str, ...]
    """Gate results of the base row, a line each."""


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended, as one of `done` of `total` trials."""

    folder: str
    result: TrialResult
    best: TrialResult | None
    """The best trial so far."""
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Outcome:
    """What a search has found."""

    trials: list[TrialResult]
    """All of the study, also those of earlier searches."""
    failed: list[TrialResult]
    """Those that the next search tries again."""
    importances: dict[str, float]
    """Share of each parameter in the variance of the metric (PED-ANOVA, Watanabe et al. 2023); empty after too few
    trials."""


SearchEvent = Event | SearchStarted | TrialFinished


class Trials:
    """The trials of an open study, as a source of rows for `run_rows`: it asks for rows, and passes events back."""

    def __init__(self, setup: Setup, study: optuna.Study, on_event: Callable[[SearchEvent], None]) -> None:
        """Begin without trials; see `open_trials`."""
        self.context, self.devices = setup.context, ("cpu",)
        self.measured: dict[str, MeasuredModel] = {}
        """The base row's network, by `PlannedRow.network`."""
        self._setup, self._study, self._on_event = setup, study, on_event
        self._running: dict[str, tuple[optuna.Trial, dict[str, Any]]] = {}
        self._seconds: list[float] = []
        self._total = int(min(setup.search.trials, space_size(setup.search)))
        self._todo = max(0, self._total - count_finished(study))

    def more_rows(self) -> list[PlannedRow]:
        """Return the row of the next trial; none where all were tried.

        A trial whose values make no valid row together is rejected at once.
        """
        while self._todo:
            self._todo -= 1
            trial = ask(self._study, self._setup.search)
            values = values_of(trial.params, self._setup.search)
            try:
                row = self._setup.plan(trial.number, values).rows[0]
            except ExperimentError as error:
                result = TrialResult(trial.number, "rejected", None, values, message=str(error))
                self._end(f"{TABLE}.{trial.number}", trial, result)
                continue
            self._running[row.folder] = trial, values
            return [row]
        return []

    def handle(self, event: Event) -> None:
        """Pass an event on; the end of a row becomes the result of its trial."""
        if not isinstance(event, RowFinished):
            self._on_event(event)
            return
        trial, values = self._running.pop(event.folder)
        result = trial_result(trial.number, values, self._setup.search.metric.name, event.record)
        self._end(event.folder, trial, result, event.record.gates)

    def _end(self, folder: str, trial: optuna.Trial, result: TrialResult, gates: Sequence[GateResult] = ()) -> None:
        """Write the result of a trial to the journal, and report it."""
        tell(self._study, trial, result, self._setup.search.metric, gates)
        self._seconds.append(result.seconds)
        left = self._todo + len(self._running)
        seconds_left = statistics.median(self._seconds) * left / len(self.devices)
        self._on_event(TrialFinished(folder, result, self._write(), self._total - left, self._total, seconds_left))

    def outcome(self) -> Outcome:
        """Return what the study has found so far."""
        self._write()
        trials = results(self._study, self._setup.search)
        is_enough = len(ranked(trials, self._setup.search.metric)) >= _LEAST_FOR_IMPORTANCES
        shares = optuna.importance.get_param_importances(self._study) if is_enough else {}
        return Outcome(trials, failures(self._study, self._setup.search), shares)

    def start(self, base: Plan, extremes: Mapping[str, Sequence[Plan]]) -> None:
        """Read the data and measure the base row's network.

        Args:
            base: The base row.
            extremes: The base row with each extreme value of a parameter, by the path of the parameter.

        Raises:
            BenchmarkError: No trial could be trained.
            OSError: The disk is full.
        """
        if not self._todo:
            return
        setup = self._setup
        self.context = with_cached_sources(base.experiment.data, setup.context, self._on_event, ("train", "val"))
        check_patches(base, self.context, all_sides)
        check_metrics(base, self.context, {"search.metric": ("val", setup.search.metric.name)})
        # Trials that run at once learn nothing from each other, so short searches get few workers.
        useful = max(1, setup.search.trials // _TRIALS_PER_WORKER)
        chosen = (str(setup.context.machine.device),) * (setup.workers or 0)
        rows = [row for plans in extremes.values() for plan in plans for row in plan.rows]
        demanding = dataclasses.replace(base, rows=(*base.rows, *rows))
        self.devices = chosen or worker_devices(demanding, setup.context, independent=useful)
        seconds = estimate(base, self.context).seconds
        times = _times_trained(base, setup.search, extremes)
        at_most = sum(seconds[key] * min(self._todo, times[key]) for key in seconds)
        gates = self._measure_base(base.rows[0])
        self._on_event(SearchStarted(self._todo, self._total, len(self.devices), at_most, gates))

    def _measure_base(self, base: PlannedRow) -> tuple[str, ...]:
        """Measure the base row's network; return its gate results, a line each."""
        ends: list[Any] = []
        run_job(MeasureNetwork(base), self.context, ends.append)
        if isinstance(ends[-1], JobStopped):
            raise ends[-1].error
        if isinstance(ends[-1], JobFailed):
            raise BenchmarkError(f"base row: its network cannot be measured: {ends[-1].failure.message}")
        measured: MeasuredModel = ends[-1].measured
        self.measured[base.network] = measured
        failed = [describe_gate(gate) for gate in measured.gates if gate.result == "failed"]
        if failed and not any(parameter.path.startswith("model") for parameter in self._setup.search.parameters):
            raise BenchmarkError(
                f"base row: fails gate {failed[0]}, and so would every trial; "
                "change the model or the limit, or search settings below model"
            )
        return tuple(map(describe_gate, measured.gates))

    def _write(self) -> TrialResult | None:
        """Bring trials.csv, search.json and best.yaml up to date; return the best trial."""
        setup, trials = self._setup, results(self._study, self._setup.search)
        write_json(setup.context.output / "search.json", to_json(search_file(setup.search.metric)))
        write_trials(setup.context.output / "trials.csv", trials, setup.search)
        best = next(iter(ranked(trials, setup.search.metric)), None)
        if best:
            write_best(setup.context.output / "best.yaml", setup.experiment, setup.search, best, len(trials))
        return best


@contextmanager
def open_trials(
    setup: Setup, on_event: Callable[[SearchEvent], None], *, replace: bool
) -> Generator[Trials, None, None]:
    """Open the study of a search, ready to run: the data are read, the base row is measured.

    An interrupted search resumes. Raises BenchmarkError before anything is trained.
    """
    base = setup.plan(0, {})
    extremes = {
        parameter.path: [setup.plan(0, {parameter.path: value}) for value in parameter.extremes]
        for parameter in setup.search.parameters
    }
    for plan in (plan for plans in extremes.values() for plan in plans):
        preflight(plan, setup.context, replace=True)
    identity = hash_of([repr(setup.search.parameters), setup.search.metric.name, base.rows[0].config_hash])
    with open_study(setup.journal, setup.experiment.name, setup.search, identity, replace=replace) as study:
        resume(study, setup.search)
        trials = Trials(setup, study, on_event)
        trials.start(base, extremes)
        yield trials


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


def search_file(metric: Metric) -> SearchFile:
    """Return what a report must know to rank the trials, even where no trial has left a record."""
    facts = MetricFacts(unit=metric.unit, direction=metric.direction, meaning=metric.meaning, decimals=metric.decimals)
    return SearchFile(metric=metric.name, facts=None if metric.name in IMAGE_METRICS else facts)


def write_trials(file: Path, trials: Sequence[TrialResult], search: Search) -> None:
    """Write all trials as CSV, with the parameters as they stand in YAML."""
    paths = [parameter.path for parameter in search.parameters]
    header = ["trial", "status", search.metric.name, *paths, "steps_trained", "steps_reused", "seconds", "message"]
    rows = (
        [
            trial.number,
            trial.status,
            "" if trial.value is None else trial.value,
            *(json.dumps(trial.values[path]) if path in trial.values else "" for path in paths),
            trial.steps_trained,
            trial.steps_reused,
            trial.seconds,
            trial.message,
        ]
        for trial in trials
    )
    write_csv(file, header, rows)


def write_best(file: Path, experiment: Experiment, search: Search, best: TrialResult, trials: int) -> None:
    """Write the best trial as the base row of an experiment of its own, with the former base row beside it.

    It needs no other file (folders of data are absolute), and has the seeds of the experiment: a choice that was made
    on val with one seed has to be confirmed.
    """
    changed = [parameter for parameter in search.parameters if parameter.base != best.values[parameter.path]]
    default = {parameter.path: override_to(parameter.base, best.values[parameter.path]) for parameter in changed}
    settings = with_values(experiment.document, search, best.values).data
    content = {
        "name": f"{experiment.name}_best",
        **{name: settings[name] for name in RowSettings.model_fields if name in settings},
        **relative_paths(experiment.rows[0].recipe.data_settings, file.parent),
        "seeds": list(experiment.seeds),
        "report": experiment.report.model_dump(),
        **{key: settings[key] for key in ("metrics",) if key in settings},
        **({"tables": {"search": {"default": default}}} if default else {}),
    }
    comment = (
        f"# Trial {best.number}, the best of {counted(trials, 'trial')} of {experiment.name} so far: "
        f"{search.metric.name} {best.value:.4f} on val with seed {search.seed}.\n"
        f"# Test was not read. Compare it over all seeds:  python -m benchmark run {file}\n"
    )
    write_text(file, comment + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def override_to(base: Any, best: Any) -> Any:
    """Return the override that turns `best` into `base`: mappings merge, so keys that only `best` has are deleted."""
    if not isinstance(best, dict) or not isinstance(base, dict) or best.get("name") != base.get("name"):
        return base
    deleted = dict.fromkeys(best.keys() - base.keys())
    return {**deleted, **{key: override_to(value, best.get(key)) for key, value in base.items()}}


def _times_trained(base: Plan, search: Search, extremes: Mapping[str, Sequence[Plan]]) -> dict[str, float]:
    """Return how often at most a stage of the base row is trained, in itself or with other settings, by key."""
    times = dict.fromkeys(base.stages, 1.0)
    for parameter in search.parameters:
        plans = extremes[parameter.path]
        for key in times:
            if any(key not in plan.stages for plan in plans):
                times[key] *= len(plans) if isinstance(parameter.domain, Choices) else math.inf
    return times
