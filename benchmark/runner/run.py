"""A plan carried out, row after row: the one place that knows the order of things."""

import dataclasses
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import torch
import yaml
from torch import nn

from benchmark.data import Source
from benchmark.data.augmentations import make_augmentations
from benchmark.errors import DataError
from benchmark.experiment.load import Experiment
from benchmark.experiment.plan import Environment, Floor, Plan, Run, make_plan, network_id, settings_id
from benchmark.experiment.stage import Stage
from benchmark.files import write_json, write_text
from benchmark.model import build
from benchmark.runner.context import Context
from benchmark.runner.map_supervision import check_supervision
from benchmark.runner.memory_preflight import does_not_fit
from benchmark.runner.progress_events import Event, NetworkMeasured, RowFinished, RowSkipped
from benchmark.runner.record_writer import is_finished, write_pairs
from benchmark.runner.row import Measured, measure_model, run_floor
from benchmark.runner.worker_pool import Group, Task, group_runs, run_groups, worker_count
from benchmark.training import ENGINE_VERSION
from benchmark.training.objective import make_objective
from benchmark.training.optimizer import make_optimizer
from reports.schema import PlanFile, PlannedStage, PlanRow, Record, to_json

_BFLOAT16_CAPABILITY = 8
"""Compute capability from which a GPU has bfloat16 in hardware."""


def environment(device: torch.device) -> Environment:
    if device.type == "cpu":
        return Environment(ENGINE_VERSION, device.type, torch.__version__)
    precision = "bfloat16" if torch.cuda.get_device_capability(device)[0] >= _BFLOAT16_CAPABILITY else "float32"
    return Environment(ENGINE_VERSION, device.type, torch.__version__, precision, compile=True)


def plan_of(experiment: Experiment, context: Context) -> Plan:
    """The plan of an experiment with the data, the components and the machine of a context."""
    fingerprints = {identity: source.fingerprint for identity, source in context.sources.items()}
    return make_plan(experiment, fingerprints, environment(context.machine.device), context.registry)


def check(plan: Plan, context: Context, *, replace: bool) -> list[Run | Floor]:
    """What remains to be run. Raises BenchmarkError where the plan cannot work, before anything is trained."""
    for run in plan.runs:
        for stage in run.stages:
            settings = Stage.model_validate(stage.settings)
            make_objective(stage.name, settings, context.registry)
            make_optimizer([nn.Parameter(torch.zeros(1, 1))], settings)
            make_augmentations(stage.settings["augment"], context.registry)
    for run in {run.row: run for run in plan.runs}.values():  # of all seeds, one
        check_supervision(run, context)
    models = {network_id(run.config): run.config["model"] for run in plan.runs}
    for model in models.values():
        if "weights" in model:
            build(model, 0, context.registry)
    return [
        planned
        for planned in (*plan.floors, *plan.runs)
        if not is_finished(context.output / planned.folder, planned, replace=replace)
    ]


def execute(
    plan: Plan, context: Context, todo: Sequence[Run | Floor], estimates: Mapping[str, float]
) -> Generator[Event, None, list[Record]]:
    """Run what is to do of a plan and return its records; finished rows are only mentioned.

    Gates come first, all of them: latencies are measured while nothing else runs. Of the rows of a seed the longest
    start first, so that no worker is left with one at the end; `estimates`: seconds of stages by key.
    """
    yield from (RowSkipped(planned.folder) for planned in (*plan.floors, *plan.runs) if planned not in todo)
    if todo:
        check_patches(plan, context)
        write_pairs(context.output / "pairs", context.source(plan.floors[0].config, "test"))
    groups = yield from measured_groups([planned for planned in todo if isinstance(planned, Run)], context, estimates)
    floors = [planned for planned in todo if isinstance(planned, Floor)]
    return (yield from with_records(_run_all(plan, context, floors, groups)))


def _run_all(plan: Plan, context: Context, floors: Sequence[Floor], groups: Sequence[Group]) -> Iterator[Event]:
    name = plan.experiment.name
    for floor in floors:
        yield from run_floor(floor, name, context)
    yield from run_groups(groups, name, context, worker_count(plan, context))


def with_records(events: Iterator[Event]) -> Generator[Event, None, list[Record]]:
    """Pass events on; returns the records of the rows that ended."""
    records: list[Record] = []
    for event in events:
        if isinstance(event, RowFinished):
            records.append(event.record)
        yield event
    return records


def _seconds(group: Group, estimates: Mapping[str, float]) -> float:
    return sum(estimates.get(key, 0.0) for key in {stage.key for task in group for stage in task.run.stages})


def measured_groups(
    runs: Sequence[Run], context: Context, estimates: Mapping[str, float], *, is_trial: bool = False
) -> Generator[Event, None, list[Group]]:
    """The groups of rows, the longest of a seed first.

    With cost and gates of each network, measured once for all rows and seeds that have it.
    """
    measured: dict[str, Measured | str] = {}
    tasks: dict[str, Task] = {}
    total = len({network_id(run.config) for run in runs})
    for run in runs:
        network = network_id(run.config)
        if network not in measured:
            measured[network] = measure_model(run, context)
            yield NetworkMeasured(run.folder, len(measured), total)
        tasks[run.folder] = Task(run, measured[network], does_not_fit(run, context), is_trial)
    groups = [tuple(tasks[run.folder] for run in group) for group in group_runs(runs)]
    return sorted(groups, key=lambda group: (group[0].run.seed, -_seconds(group, estimates)))


def check_patches(plan: Plan, context: Context) -> None:
    """Raise DataError if a train image is smaller than a patch of it. Reads all train images."""
    largest: dict[str, tuple[int, str]] = {}
    for run in plan.runs:
        identity = settings_id(run.config["data"]["train"])
        for stage in run.stages:
            patch = int(stage.settings["patch"])
            largest[identity] = max(largest.get(identity, (0, "")), (patch, stage.name))
    for identity, (patch, stage_name) in largest.items():
        for name, side in _sides(context.sources[identity]):
            if side < patch:
                raise DataError(
                    f"train image {name!r} is {side} pixels at its shorter side, "
                    f"protocol.{stage_name}.patch is {patch}; lower patch or leave the image out"
                )


def _sides(source: Source) -> Iterator[tuple[str, int]]:
    for index in range(len(source)):
        pair = source.read(index)
        yield pair.name, min(pair.degraded.shape[:2])


def write_plan(plan: Plan, context: Context) -> None:
    """Tell reports which rows are to be expected, and keep the experiment in a form that can be run again."""
    base = plan.experiment.rows[0].config
    settings = {**plan.experiment.settings, "data": base["data"], "seeds": list(plan.experiment.seeds)}
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    write_text(context.output / "experiment.yaml", text)
    write_json(context.output / "plan.json", to_json(plan_file(plan, context.command)))


def plan_file(plan: Plan, command: str) -> PlanFile:
    """Return what reports need to know of a plan: which rows are to be expected, and which stages they share."""
    experiment = plan.experiment
    by_row: dict[str, list[Run]] = {}
    for run in plan.runs:
        by_row.setdefault(run.row, []).append(run)
    trained = [_planned_row(runs) for runs in by_row.values()]
    baselines = [PlanRow(row=floor.row, table=None, kind="baseline", seeds=(None,)) for floor in plan.floors]
    return PlanFile(
        experiment=experiment.name,
        primary=experiment.primary,
        equivalence_margin=experiment.equivalence_margin,
        seeds=tuple(sorted({run.seed for run in plan.runs})),
        environment=dataclasses.asdict(plan.environment),
        rows=(*trained, *baselines),
        claims=experiment.claims,
        command=command,
    )


def _planned_row(runs: list[Run]) -> PlanRow:
    """Return the row that these runs, one a seed, belong to."""
    stages = (
        PlannedStage(name=stage.name, steps=stage.steps, keys={str(run.seed): run.stages[at].key for run in runs})
        for at, stage in enumerate(runs[0].stages)
    )
    return PlanRow(
        row=runs[0].row,
        table=runs[0].table,
        kind="trained",
        seeds=tuple(run.seed for run in runs),
        config_hashes={str(run.seed): run.config_hash for run in runs},
        stages=tuple(stages),
    )


def output_folder(experiment: str, chosen: Path | None) -> Path:
    """Where the records of an experiment go."""
    return chosen or Path(os.curdir) / "runs" / experiment
