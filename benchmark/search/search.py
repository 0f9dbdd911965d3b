"""A search: its trials as rows of a run, and what the study learns from them."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from benchmark.errors import BenchmarkError, ExperimentError, RecordError
from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.plan import Plan, PlannedRow, hash_of
from benchmark.experiment.resolve import resolve
from benchmark.experiment.schema import LatencyGate
from benchmark.experiment.search_space import Choices, Search, with_values
from benchmark.files import write_json
from benchmark.gates.check_gates import missing_device
from benchmark.gates.latency_quick import quiet_reference_ms
from benchmark.runner.context import Context, plan_of, with_cached_sources
from benchmark.runner.estimates import estimate
from benchmark.runner.events import (
    Event,
    JobFailed,
    JobStopped,
    MeasuredModel,
    RowFinished,
    StagePruned,
)
from benchmark.runner.executor import OpenExecutor
from benchmark.runner.job_command import JobPlans, own_plan, write_own_plan
from benchmark.runner.jobs import MeasureNetwork, run_job
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.preflight import all_sides, check_metrics, check_patches, preflight
from benchmark.runner.row import describe_gate
from benchmark.runner.run import run_rows
from benchmark.search.importances import importances
from benchmark.search.pareto import Pick, front, picked
from benchmark.search.search_events import Outcome, SearchEvent, SearchStarted, TrialFinished
from benchmark.search.space import values_of
from benchmark.search.study import (
    ask,
    count_finished,
    describe,
    failures,
    open_study,
    quiet_ms_of,
    results,
    resume,
    tell,
    validations,
)
from benchmark.search.trial_files import chosen_by_one_seed, search_file, write_best, write_trials
from benchmark.search.trial_pruning import StudyPruning
from benchmark.search.trial_results import TrialResult, steps_of, trial_result
from reports.schema import GateResult, Importance, to_json

TABLE = "trial"
_TRIALS_PER_WORKER = 5
_BASE_PLAN = "base"
"""Name of a plan file that is there before the first trial."""
_SUMMARY = "search.json"


@dataclass(frozen=True)
class Setup:
    """What to search, and where to write."""

    experiment: Experiment
    search: Search
    context: Context
    storage: Path | str
    """Of the study; see `storage.open_storage`."""
    workers: int | None
    """Trials at once; None: as many as are of use."""
    pick: Pick = field(default_factory=Pick)
    """With several objectives, which trial becomes best.yaml."""
    open_executor: OpenExecutor | None = None
    """Opens what carries out the jobs of trials; None: workers of this machine."""

    def plan(self, number: int, values: dict[str, Any]) -> Plan:
        """Return the plan of a trial. Raises ExperimentError if its values make no valid row together."""
        recipe = resolve(with_values(self.experiment.document, self.search.parameters, values), self.context.registry)
        row = Row(f"{TABLE}.{number}", TABLE, recipe)
        return plan_of(dataclasses.replace(self.experiment, rows=(row,), seeds=(self.search.seed,)), self.context)


class Trials:
    """The trials of an open study, as a source of rows for `run_rows`: it hands out rows, and learns from events."""

    def __init__(self, setup: Setup, study: optuna.Study, on_event: Callable[[SearchEvent], None]) -> None:
        """Begin without trials; see `open_trials`."""
        self.context, self.devices, self.workers = setup.context, ("cpu",), 1
        self.measured: dict[str, MeasuredModel] = {}
        """The base row's network, by `PlannedRow.network`."""
        self._setup, self._study, self._on_event = setup, study, on_event
        self._running: dict[str, tuple[optuna.Trial, dict[str, Any], PlannedRow]] = {}
        self._partial_steps: dict[str, int] = {}
        self.pruning: StudyPruning | None = None
        """None: all trials are trained to their end."""
        self._seconds: list[float] = []
        self._total = int(min(setup.search.trials, setup.search.size))
        self._todo = max(0, self._total - count_finished(study))

    def run(self) -> Outcome:
        """Carry out the trials that are left; return what the search has found so far."""
        open_executor, output = self._setup.open_executor, self.context.output
        plans = JobPlans(lambda row: own_plan(output, row.row), own_plan(output, _BASE_PLAN), is_trial=True)
        run_rows(
            [],
            self.context,
            self.devices,
            self.handle,
            more_rows=self.more_rows,
            measured=self.measured,
            is_trial=True,
            executor=open_executor(self.context, plans, self.workers) if open_executor and self._todo else None,
            pruning=self.pruning,
        )
        return self.outcome()

    def more_rows(self) -> list[PlannedRow]:
        """Return the row of the next trial; none where all were tried.

        A trial whose values make no valid row together is rejected at once.
        """
        while self._todo:
            self._todo -= 1
            trial = ask(self._study, self._setup.search)
            values = values_of(trial.params, self._setup.search)
            try:
                plan = self._setup.plan(trial.number, values)
            except ExperimentError as error:
                result = TrialResult(trial.number, "rejected", None, values, message=str(error))
                self._end(f"{TABLE}.{trial.number}", trial, result)
                continue
            row = plan.rows[0]
            if self._setup.open_executor:
                write_own_plan(own_plan(self.context.output, row.row), plan, self.context, self.measured)
            self._running[row.folder] = trial, values, row
            describe(trial, values, row.folder)
            if self.pruning:
                self.pruning.start(row, trial)
            return [row]
        return []

    def handle(self, event: Event) -> None:
        """Pass an event on; the end of a row becomes the result of its trial."""
        if isinstance(event, StagePruned):
            self._partial_steps[event.folder] = event.steps
        if not isinstance(event, RowFinished):
            self._on_event(event)
            return
        trial, values, row = self._running.pop(event.folder)
        partial_steps = self._partial_steps.pop(event.folder, 0)
        result = trial_result(trial.number, values, self._setup.search, row, event.record, partial_steps)
        self._end(event.folder, trial, result, event.record.gates)

    def _end(self, folder: str, trial: optuna.Trial, result: TrialResult, gates: Sequence[GateResult] = ()) -> None:
        """Write the result of a trial to the journal, and report it."""
        search = self._setup.search
        tell(self._study, trial, result, search, gates if search.varies_network else ())
        self._seconds.append(result.seconds)
        left = self._todo + len(self._running)
        seconds_left = statistics.median(self._seconds) * left / self.workers
        self._on_event(TrialFinished(folder, result, self._write(), self._total - left, self._total, seconds_left))

    def outcome(self) -> Outcome:
        """Return what the study has found so far."""
        search, shares = self._setup.search, importances(self._study)
        best, trials = self._write(shares), results(self._study, search)
        best_ones = tuple(front(trials, search.objectives)) if search.objectives else ()
        return Outcome(trials, failures(self._study, search), shares, steps_of(trials), best, best_ones)

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
        if setup.search.pruner.name != "none":
            self.pruning = StudyPruning(self._study, setup.search, base.steps_trained)
        self.context = with_cached_sources(base.experiment.data, setup.context, self._on_event, ("train", "val"))
        gates = base.rows[0].recipe.gates.values()
        if any(
            isinstance(gate, LatencyGate) and not missing_device(gate.device, setup.context.machine) for gate in gates
        ):
            quiet_ms = quiet_ms_of(self._study, lambda: quiet_reference_ms(setup.context.machine.device))
            self.context = dataclasses.replace(self.context, quiet_ms=quiet_ms)
        check_patches(base, self.context, all_sides)
        check_metrics(base, self.context, {"search.metric": ("val", setup.search.metric.name)})
        # Trials that run at once learn nothing from each other, so short searches get few workers.
        useful = max(1, setup.search.trials // _TRIALS_PER_WORKER)
        rows = [row for plans in extremes.values() for plan in plans for row in plan.rows]
        demanding = dataclasses.replace(base, rows=(*base.rows, *rows))
        if setup.open_executor:
            self.workers = setup.workers or useful
            write_own_plan(own_plan(setup.context.output, _BASE_PLAN), base, setup.context, {})
        else:
            self.devices = worker_devices(demanding, setup.context, independent=useful, workers=setup.workers)
            self.workers = len(self.devices)
        seconds = estimate(base, self.context).seconds
        times = _times_trained(base, setup.search, extremes)
        at_most = sum(seconds[key] * min(self._todo, times[key]) for key in seconds)
        results = self._measure_base(base.rows[0])
        self._on_event(SearchStarted(self._todo, self._total, self.workers, at_most, results))

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
        if failed and not self._setup.search.varies_network:
            raise BenchmarkError(
                f"base row: fails gate {failed[0]}, and so would every trial; "
                "change the model or the limit, or search settings below model"
            )
        return tuple(map(describe_gate, measured.gates))

    def _write(self, shares: tuple[Importance, ...] = ()) -> TrialResult | None:
        """Bring trials.csv, search.json and best.yaml up to date; return the trial of best.yaml."""
        setup, trials = self._setup, results(self._study, self._setup.search)
        best = picked(trials, setup.search, setup.pick)
        content = search_file(setup.search, trials, validations(self._study), shares, str(setup.pick), best)
        write_json(setup.context.output / _SUMMARY, to_json(content))
        write_trials(setup.context.output / "trials.csv", trials, setup.search)
        if best:
            comment = chosen_by_one_seed(best, len(trials), setup.experiment, setup.search, str(setup.pick))
            write_best(setup.context.output / "best.yaml", setup.experiment, setup.search, best, comment)
        return best


@contextmanager
def open_trials(
    setup: Setup, on_event: Callable[[SearchEvent], None], *, replace: bool
) -> Generator[Trials, None, None]:
    """Open the study of a search, ready to run: the data are read, the base row is measured.

    An interrupted search resumes. Raises BenchmarkError before anything is trained: also where the folder of the run
    holds the trials of another study, whose files would be overwritten.
    """
    base = setup.plan(0, {})
    extremes = {
        parameter.path: [setup.plan(0, {**parameter.branch, parameter.path: value}) for value in parameter.extremes]
        for parameter in setup.search.parameters
    }
    for plan in (plan for plans in extremes.values() for plan in plans):
        preflight(plan, setup.context, replace=True)
    names = [metric.name for metric in setup.search.objectives]
    compared = names or setup.search.metric.name
    conditions = [[parameter.path, parameter.when] for parameter in setup.search.parameters if parameter.when]
    identity = hash_of([repr(setup.search.parameters), compared, base.rows[0].config_hash, *conditions])
    with open_study(setup.storage, setup.experiment.name, setup.search, identity, replace=replace) as study:
        if not study.trials and not replace and (setup.context.output / _SUMMARY).exists():
            raise RecordError(
                f"{setup.context.output}: holds the trials of another search, or of this one with another --storage; "
                "choose another --output, or --replace to overwrite them (trained stages are kept)"
            )
        resume(study, setup.search)
        trials = Trials(setup, study, on_event)
        trials.start(base, extremes)
        yield trials


def _times_trained(base: Plan, search: Search, extremes: Mapping[str, Sequence[Plan]]) -> dict[str, float]:
    """Return how often at most a stage of the base row is trained, in itself or with other settings, by key."""
    times = dict.fromkeys(base.stages, 1.0)
    for parameter in search.parameters:
        plans = extremes[parameter.path]
        for key in times:
            if any(key not in plan.stages for plan in plans):
                times[key] *= len(plans) if isinstance(parameter.domain, Choices) else math.inf
    return times
