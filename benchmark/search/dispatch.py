"""Which trial may start now: gates are judged first, and no stage is trained by two trials at once."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import optuna

from benchmark.errors import BenchmarkError, ExperimentError
from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.plan import Plan, Run, network_id
from benchmark.experiment.resolve import resolve
from benchmark.experiment.search_space import Search, with_values
from benchmark.runner.context import Context
from benchmark.runner.memory_preflight import does_not_fit
from benchmark.runner.row import Measured, describe, measure_model
from benchmark.runner.run import plan_of
from benchmark.runner.worker_pool import Group, Task, broken_stage
from benchmark.search.results import TrialResult, result_of, tell
from benchmark.search.study import ask, values_of
from reports.schema import GateResult, Record

TABLE = "trial"


@dataclass(frozen=True)
class Planner:
    """Lays out trials as rows of the experiment: row `trial.<number>` with the seed of the search."""

    experiment: Experiment
    search: Search
    context: Context

    def plan(self, number: int, values: dict[str, Any]) -> Plan:
        """The plan of one trial. Raises ExperimentError if the values make no valid row together."""
        config = resolve(with_values(self.experiment.document, self.search, values), self.context.registry)
        row = Row(f"{TABLE}.{number}", TABLE, config)
        experiment = dataclasses.replace(self.experiment, rows=(row,), seeds=(self.search.seed,))
        return plan_of(experiment, self.context)


@dataclass(frozen=True)
class _Trial:
    trial: optuna.Trial
    values: dict[str, Any]
    run: Run


class Dispatcher:
    """Gives trials to whoever trains them (`take`) and takes their records (`finish`)."""

    def __init__(self, study: optuna.Study, planner: Planner, trials: int, workers: int) -> None:
        """`trials`: how many more are to be tried; `workers`: how many at once."""
        self._study, self._planner, self._context = study, planner, planner.context
        self._unasked, self._workers = trials, workers
        self._asked: list[_Trial] = []
        self._running: dict[str, _Trial] = {}
        self._training: dict[str, set[str]] = {}
        self._measured: dict[str, Measured | str] = {}
        self._broken: dict[str, str] = {}

    @property
    def unfinished(self) -> int:
        """Trials that have not come to an end."""
        return self._unasked + len(self._asked) + len(self._running)

    def measure_base(self, base: Run) -> tuple[str, ...]:
        """The gates of the base row, a line each. Raises BenchmarkError if no trial at all could pass them."""
        measured = self._measured[network_id(base.config)] = measure_model(base, self._context)
        if isinstance(measured, str):
            raise BenchmarkError(f"base row: {measured}")
        failed = [describe(verdict) for verdict in measured.gates if verdict.result == "failed"]
        if failed and not any(parameter.path.startswith("model") for parameter in self._planner.search.parameters):
            raise BenchmarkError(
                f"base row: fails gate {failed[0]}, and so would every trial; "
                "change the model or the limit, or search settings below model"
            )
        return tuple(describe(verdict) for verdict in measured.gates)

    def take(self) -> Group | None:
        """The next trial, unless there is none or it has to wait for one that runs."""
        self._fill()
        if not self._asked or not self._may_start(self._asked[0].run):
            return None
        trial = self._asked.pop(0)
        folder, store = trial.run.folder, self._context.store
        self._running[folder] = trial
        self._training[folder] = {stage.key for stage in trial.run.stages if store.finished(stage.key) is None}
        return (self._task(trial.run),)

    def trained(self, folder: str, key: str) -> None:
        """A stage of a running trial is in the store: trials that share it need not wait any more."""
        self._training[folder].discard(key)

    def finish(self, folder: str, record: Record) -> TrialResult:
        """Tell the study what became of a trial."""
        trial = self._running.pop(folder)
        del self._training[folder]
        self._broken |= broken_stage(trial.run, record)
        metric = self._planner.search.metric
        result = result_of(trial.trial.number, trial.values, metric, record)
        if result.status == "failed" and self._breaks(trial.run):
            result = dataclasses.replace(result, status="diverged")
        tell(self._study, trial.trial, result, metric)
        return result

    def _fill(self) -> None:
        """See that a trial is there with its network measured.

        Latencies are measured while nothing runs, then for as many trials as can start together.
        """
        if not self._asked:
            self._ask()
        if self._running or not self._asked or network_id(self._asked[0].run.config) in self._measured:
            return
        while len(self._asked) < self._workers and self._unasked:
            self._ask()
        for trial in self._asked:
            network = network_id(trial.run.config)
            if network not in self._measured:
                self._measured[network] = measure_model(trial.run, self._context)

    def _ask(self) -> None:
        """Ask the study for a trial; one whose values make no row together has failed at once."""
        while self._unasked:
            self._unasked -= 1
            trial = ask(self._study, self._planner.search)
            values = values_of(trial.params, self._planner.search)
            try:
                run = self._planner.plan(trial.number, values).runs[0]
            except ExperimentError as error:
                failed = TrialResult(trial.number, "failed", None, values, message=str(error))
                tell(self._study, trial, failed, self._planner.search.metric)
                continue
            self._asked.append(_Trial(trial, values, run))
            return

    def _may_start(self, run: Run) -> bool:
        in_training = set[str]().union(*self._training.values())
        return network_id(run.config) in self._measured and not any(stage.key in in_training for stage in run.stages)

    def _task(self, run: Run) -> Task:
        measured = self._measured[network_id(run.config)]
        if isinstance(measured, Measured):
            trial = self._running[run.folder].trial
            for verdict in measured.gates:
                _set_constraint(trial, verdict)
        refused = self._breaks(run) or does_not_fit(run, self._context)
        return Task(run, measured, refused, is_trial=True)

    def _breaks(self, run: Run) -> str | None:
        """Why a stage of a run is known to diverge."""
        messages = [self._broken[stage.key] for stage in run.stages if stage.key in self._broken]
        return f"shares a stage that diverged in another trial: {messages[0]}" if messages else None


def _set_constraint(trial: optuna.Trial, verdict: GateResult) -> None:
    """A gate as Optuna's hard constraint: by what share of the limit it is exceeded; above 0 only where it failed."""
    if verdict.measured is not None:
        excess = verdict.measured / verdict.limit - 1
        trial.set_constraint(verdict.name, excess if verdict.result == "failed" else min(excess, 0.0))
