"""The jobs of a run: measure a network, train a stage, test a row. Each can be carried out by any process."""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import DISK_FULL, BenchmarkError
from benchmark.experiment.gate_presets import GATE_PRESETS, counted_limits
from benchmark.experiment.plan import PlannedBaseline, PlannedRow, PlannedStage, id_of_test
from benchmark.experiment.schema import AnyGate, CountedGate, ResolvedModel
from benchmark.gates.check_gates import check_gate_sets, check_gates
from benchmark.gates.cost import cost
from benchmark.inference.device_setup import Machine, torch_threads
from benchmark.lease import LeaseFolderError, LeaseLost
from benchmark.model import Restorer
from benchmark.runner.compression import build_shipped, untrained_file, with_file_size
from benchmark.runner.context import Context
from benchmark.runner.count_cache import kept
from benchmark.runner.events import (
    JobDied,
    JobEvent,
    JobFailed,
    JobFinished,
    JobPruned,
    JobStopped,
    MeasuredModel,
    OnAnyEvent,
    StageAwaited,
    StageDamaged,
)
from benchmark.runner.pruning_rules import Rule
from benchmark.runner.rank_group import RankFailure, train_on_ranks
from benchmark.runner.row import RowProgress, describe_gate, test_row
from benchmark.runner.stage import train_stage
from benchmark.runner.stage_validation import PrunedError
from benchmark.training.loop import DivergedError
from reports.schema import Failure, GateResult, from_json, to_json


@dataclass(frozen=True)
class MeasureNetwork:
    """Cost and gates of the network of a row. Latencies are measured while nothing else runs."""

    row: PlannedRow

    @property
    def id(self) -> str:
        """Hash of the network and its gates."""
        return self.row.network


@dataclass(frozen=True)
class TrainStage:
    """One stage of a row. `rule`: may end it before its last step, for a trial of a search."""

    row: PlannedRow
    stage: PlannedStage
    rule: Rule | None = None

    @property
    def id(self) -> str:
        """The key of the stage."""
        return self.stage.key


@dataclass(frozen=True)
class TestRow:
    """The scores and the record of a row whose stages are stored, or of a baseline."""

    __test__ = False  # for pytest, which collects classes whose name begins like this one
    row: PlannedRow | PlannedBaseline
    progress: RowProgress

    @property
    def id(self) -> str:
        """Hash of all that the record depends on, and of the row's name."""
        return id_of_test(self.row.folder, self.row.config_hash)


Job = MeasureNetwork | TrainStage | TestRow


def run_job(job: Job, context: Context, on_event: OnAnyEvent) -> None:
    """Carry out a job. Ends with an event JobFinished, JobFailed, JobDied or JobStopped; only an interrupt raises."""
    started, measured = time.perf_counter(), None
    try:
        match job:
            case MeasureNetwork(row=row):
                restorer = build_shipped(row.recipe.model, row.seed, context.registry)
                model, gates, plugins = row.recipe.model, row.recipe.gates, context.registry.plugins
                measured = measure_restorer(restorer, model, gates, context.machine, plugins, context.quiet_ms)
            case TrainStage(row=row, stage=stage, rule=rule):
                with (
                    context.store.claim(
                        stage.key, lambda owner: on_event(StageAwaited(row.folder, stage.name, owner))
                    ) as lease,
                    torch_threads(stage.settings.threads),
                ):
                    if lease is not None:
                        if file := context.store.set_aside(lease):
                            on_event(StageDamaged(row.folder, stage.name, file))
                        context.store.tidy(stage.key)
                        # Ranks have no rule: the trial is judged after the stage.
                        is_alone = stage.settings.devices_per_stage == 1
                        train = partial(train_stage, rule=rule) if is_alone else train_on_ranks
                        train(row.trainee_of(stage.key), stage, lease, context, on_event)
            case TestRow(row=row, progress=progress):
                test_row(row, progress, context, on_event)
    except RankFailure as error:
        on_event(replace(error.end, job=job.id))
    except Exception as error:  # a job that fails, for whatever reason, must not take others with it
        on_event(end_of_failure(job.id, error))
    else:
        on_event(JobFinished(job.id, time.perf_counter() - started, measured))


def end_of_failure(job: str, error: Exception) -> JobEvent:
    """Return how a job ended that raised an error."""
    if isinstance(error, LeaseLost):  # this process was paused, and another one continues the stage
        return JobDied(job, str(error))
    if isinstance(error, PrunedError):
        return JobPruned(job, error.validation, str(error))
    if isinstance(error, LeaseFolderError) or (isinstance(error, OSError) and error.errno in DISK_FULL):
        return JobStopped(job, error)
    return JobFailed(job, _failure(error), "".join(traceback.format_exception(error)))


def measure_restorer(
    restorer: Restorer,
    model: ResolvedModel,
    gates: Mapping[str, AnyGate],
    machine: Machine,
    plugins: tuple[Path, ...],
    quiet_ms: float | None = None,
) -> MeasuredModel:
    """Return cost and gate results of a network, which is moved to the machine's device.

    The cost holds what is counted under the limits of every preset, too. A network that ships in 8 bits is measured as
    that file: its bytes and its time do not depend on the weights. `quiet_ms`: see `check_gate_sets`.
    """
    int8_file = untrained_file(restorer, model.compression)
    names = {"backbone": model.backbone.name, "head": model.head.name, "citations": (restorer.backbone.citation,)}
    restorer.to(machine.device)
    limits = {preset: counted_limits(preset) for preset in GATE_PRESETS}
    own = ""  # no preset has this name
    results = check_gate_sets(
        {**limits, own: gates}, restorer, model.as_config(), machine, plugins, int8_file, quiet_ms
    )
    presets = {preset: tuple(results[preset]) for preset in limits}
    costs = with_file_size(cost(restorer), int8_file).model_copy(update={**names, "presets": presets})
    return MeasuredModel(costs, tuple(results[own]))


def counted_gates(row: PlannedRow, context: Context) -> list[GateResult]:
    """Return the results of a row's gates that are counted, not measured."""
    model, registry = row.recipe.model, context.registry
    gates = {name: gate for name, gate in row.recipe.gates.items() if isinstance(gate, CountedGate)}
    limits = {name: gate.model_dump(mode="json") for name, gate in gates.items()}

    def count() -> list[dict[str, Any]]:
        restorer = build_shipped(model, row.seed, registry)
        int8_file = untrained_file(restorer, model.compression)
        results = check_gates(gates, restorer, model.as_config(), context.machine, (), int8_file)
        return [to_json(result) for result in results]

    what = ["gates", limits, *([model.as_config()["compress"]] if model.compress else [])]
    return [from_json(GateResult, result) for result in kept(what, model, registry, count)]


def rejection_of(measured: MeasuredModel, *, is_trial: bool) -> Failure | None:
    """Return why rows with a network are not trained: it fails a gate that rejects, or any gate in a trial; or None."""
    failed = [gate for gate in measured.gates if gate.result == "failed" and (gate.reject or is_trial)]
    return Failure(message=f"not trained: fails gate {describe_gate(failed[0])}") if failed else None


def failure_of_row(
    row: PlannedRow | PlannedBaseline, job: Job, failure: Failure, traceback: str
) -> tuple[Failure, str]:
    """Return the failure of a row and its traceback, given those of a job that it needs, perhaps of another row."""
    if isinstance(job, MeasureNetwork):
        message = failure.message.removesuffix(" (traceback in error.txt)")
        return Failure(message=f"its network cannot be measured: {message}"), ""
    if isinstance(job, TrainStage) and job.row.folder != row.folder:
        message = f"shares a stage that failed in {job.row.folder}: {failure.message}"
        return failure.model_copy(update={"message": message}), ""
    return failure, traceback


def _failure(error: Exception) -> Failure:
    if isinstance(error, DivergedError):
        return Failure(message=str(error), stage=error.stage, step=error.step)
    if isinstance(error, torch.OutOfMemoryError):
        return Failure(message="out of memory; lower batch or patch of the stage, or raise accumulate")
    if isinstance(error, PermissionError):
        return Failure(message=f"{error.filename}: {error.strerror} for this user; ask its owner for access")
    if isinstance(error, BenchmarkError):
        return Failure(message=str(error))
    return Failure(message=f"{type(error).__name__}: {error} (traceback in error.txt)")
