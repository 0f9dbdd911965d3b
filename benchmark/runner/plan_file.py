"""plan.json: what a run is meant to do, and the recipe of every row, from which any process can carry out its jobs."""

import dataclasses
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import RecordError, shown
from benchmark.experiment.adaptive_seeds import AdaptiveSeeds
from benchmark.experiment.document import Document, KeyPath
from benchmark.experiment.plan import Plan, PlannedBaseline, PlannedRow, PlannedStage
from benchmark.experiment.portable_paths import portable_data, relative_paths, with_own_name
from benchmark.experiment.resolve import Recipe, resolve
from benchmark.experiment.weights import with_absolute_paths
from benchmark.files import write_json, write_text
from benchmark.registry import Registry
from reports import schema
from reports.errors import FileFormatError
from reports.schema import InterimPlan, PlanFile, PlanRow, read, to_json
from reports.sealing import sealed

_BASELINE_SEED = ""
"""In the place of a seed, for the hash of a baseline."""
_ROW_NAME = re.compile(r"[A-Za-z0-9][\w.=-]*(/[A-Za-z0-9][\w.=-]*)?", re.ASCII)
"""Of rows and, with a folder, of candidates such as `tuning/base=slow`."""
_HASH = re.compile("[0-9a-f]{32}")
"""As `plan.hash_of` makes it; folders and files are called so."""


def write_plan(full_plan: Plan, chosen: Plan, folder: Path, command: str) -> None:
    """Write plan.json, which tells reports what to expect, and the experiment in a form that can be run again.

    Args:
        full_plan: all rows of the experiment.
        chosen: the part of it that this command runs; rows that earlier commands chose stay chosen.
        folder: of the run.
        command: the command line.
    """
    data = full_plan.experiment.rows[0].recipe.data_settings
    adaptive, seeds = full_plan.experiment.adaptive_seeds, list(full_plan.experiment.seeds)
    written = adaptive.model_dump(mode="json") if adaptive else seeds
    settings = {**full_plan.experiment.document.data, **data, "seeds": written}
    text = yaml.safe_dump(relative_paths(settings, folder), sort_keys=False, allow_unicode=True)
    write_text(folder / "experiment.yaml", text)
    folders = {row.folder for row in chosen.rows}
    with suppress(FileFormatError):  # there is none yet, or one of another form
        folders |= set(read(PlanFile, folder / "plan.json").chosen or [row.folder for row in full_plan.rows])
    write_json(folder / "plan.json", sealed(to_json(plan_file(full_plan, command, folder, folders))))


def plan_file(plan: Plan, command: str, folder: Path, chosen: Collection[str] | None = None) -> PlanFile:
    """Return the content of plan.json.

    Args:
        plan: all rows of the experiment.
        command: the command line.
        folder: of the run.
        chosen: folders of the rows that were chosen; None: all.
    """
    folder = Path(os.path.realpath(folder))  # `..` in a path leads up from there
    experiment = plan.experiment
    seeds_of: dict[str, list[PlannedRow]] = {}
    for row in plan.rows:
        seeds_of.setdefault(row.row, []).append(row)
    folders = tuple(row.folder for row in plan.rows if chosen is None or row.folder in chosen)
    return PlanFile(
        experiment=experiment.name,
        experiment_folder=portable_data(str(experiment.rows[0].recipe.folder), folder),
        primary=experiment.report.primary,
        equivalence_margin=experiment.report.equivalence_margin,
        seeds=tuple(sorted({row.seed for row in plan.rows})),
        environment=dataclasses.asdict(plan.environment),
        rows=(
            *(_plan_row(rows, folder, plan.stopped_at.get(row)) for row, rows in seeds_of.items()),
            *map(_plan_baseline, plan.baselines),
        ),
        chosen=None if len(folders) == len(plan.rows) else folders,
        interim=interim_plan(experiment.adaptive_seeds) if experiment.adaptive_seeds else None,
        claims=experiment.claims,
        metrics=experiment.metrics,
        command=command,
    )


def interim_plan(adaptive: AdaptiveSeeds) -> InterimPlan:
    """Return interim analyses as plan.json has them."""
    return InterimPlan(seeds=adaptive.analyses, exponent=adaptive.exponent)


def _plan_row(seeds: Sequence[PlannedRow], folder: Path, stopped_at: int | None) -> PlanRow:
    """Return the entry of a row, given its plan for each seed and the folder of the run."""
    first = seeds[0]
    stages = (
        schema.PlannedStage(
            name=stage.name, steps=stage.steps, keys={str(row.seed): row.stages[at].key for row in seeds}
        )
        for at, stage in enumerate(first.stages)
    )
    return PlanRow(
        row=first.row,
        table=first.table,
        kind="trained",
        seeds=tuple(row.seed for row in seeds),
        stopped_at=stopped_at,
        config_hashes={str(row.seed): row.config_hash for row in seeds},
        stages=tuple(stages),
        network=first.network,
        inputs=dict(first.inputs),
        recipe=_with_readable_numbers(first.recipe.config_in(folder)),
    )


def _with_readable_numbers(data: Any) -> Any:
    """Return plain data with numbers as texts that are too large for a file; settings are read from texts, too."""
    if isinstance(data, dict):
        return {key: _with_readable_numbers(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_with_readable_numbers(value) for value in data]
    return repr(data) if isinstance(data, int | float) and abs(data) > schema.LARGEST else data


def _plan_baseline(baseline: PlannedBaseline) -> PlanRow:
    hashes = {_BASELINE_SEED: baseline.config_hash}
    inputs = dict(baseline.inputs)
    return PlanRow(row=baseline.row, table=None, kind="baseline", seeds=(None,), config_hashes=hashes, inputs=inputs)


def read_plan(folder: Path, file: Path | None = None) -> PlanFile:
    """Return the plan in the folder of a run.

    Args:
        folder: Of the run.
        file: With rows that plan.json lacks; None: plan.json.

    Raises:
        RecordError: There is none that jobs can be carried out from.
    """
    file, remedy = file or folder / "plan.json", "write it: python -m benchmark plan FILE --write"
    if not file.exists():
        raise RecordError(f"{shown(str(file))}: no such file; expected the folder of a run; {remedy}")
    try:
        plan = read(PlanFile, file)
    except FileFormatError as error:
        raise RecordError(f"{file}: {error}; {remedy}") from None
    if not all(row.recipe for row in plan.rows if row.kind == "trained"):
        raise RecordError(f"{file}: has no recipes (an earlier version, or a published study); {remedy}")
    if problem := next(filter(None, (_problem_of(row, plan) for row in plan.rows)), None):
        raise RecordError(f"{file}: is damaged: {problem}; {remedy}")
    if not any(row.kind == "trained" for row in plan.rows):
        raise RecordError(f"{file}: has no rows to train; {remedy}")
    return plan


def _problem_of(row: PlanRow, plan: PlanFile) -> str | None:
    """Return what keeps the jobs of a row from being listed, or would lead out of the folders; None if nothing does."""
    name, seeds = shown(repr(row.row)), {_BASELINE_SEED if seed is None else str(seed) for seed in row.seeds}
    if not _ROW_NAME.fullmatch(row.row):
        return f"no row is called {name}"
    if row.kind == "baseline":
        return None if {_BASELINE_SEED} == seeds == row.config_hashes.keys() else f"row {name} is no baseline"
    if not seeds <= row.config_hashes.keys() or not all(seeds <= stage.keys.keys() for stage in row.stages):
        return f"row {name} has a seed without hash or key"
    hashes = (row.network, *row.config_hashes.values(), *(key for stage in row.stages for key in stage.keys.values()))
    if not all(_HASH.fullmatch(text) for text in hashes):
        return f"row {name} has a hash or key of another form"
    match row.recipe:
        case {"model": {"compress": {"distil": {"row": teacher}}}, "protocol": dict()}:
            names = {
                other.row for other in plan.rows if other.kind == "trained" and seeds <= other.config_hashes.keys()
            }
            return None if teacher in names else f"row {name} learns from a row that has not all its seeds"
        case {"model": {"compress": {"distil": _}}} | {"model": {"compress": str() | int() | float() | list() | None}}:
            return f"the recipe of row {name} has another form"
        case {"model": dict(), "protocol": dict() as protocol} if {
            stage.name for stage in row.stages
        } <= protocol.keys():
            return None
        case _:
            return f"the recipe of row {name} has another form"


def planned_rows(plan: PlanFile, folder: Path, registry: Registry) -> dict[str, PlannedRow | PlannedBaseline]:
    """Return the chosen rows and the baselines of a plan by their folders; baselines first, then seed by seed.

    Args:
        plan: As read from `folder`.
        folder: Of the run.
        registry: Knows the components that the rows name.

    Raises:
        ExperimentError: A row names a component or a setting that is not known here.
    """
    trained = {row.row: (row, _recipe(row, plan, folder, registry)) for row in plan.rows if row.kind == "trained"}
    base = next(recipe for _, recipe in trained.values())
    baselines = [
        PlannedBaseline(
            row.row,
            base.data,
            base.more_tests,
            base.data_config,
            row.config_hashes.get(_BASELINE_SEED, ""),
            row.inputs,
        )
        for row in plan.rows
        if row.kind == "baseline"
    ]
    rows = [
        _planned_row(name, seed, trained)
        for seed in plan.seeds
        for name, (row, _) in trained.items()
        if seed in row.seeds
    ]
    chosen = [row for row in rows if plan.chosen is None or row.folder in plan.chosen]
    return {row.folder: row for row in (*baselines, *chosen)}


def _planned_row(name: str, seed: int, rows: Mapping[str, tuple[PlanRow, Recipe]]) -> PlannedRow:
    row, recipe = rows[name]
    distil = recipe.model.compression.teacher
    teacher = _planned_row(distil.row, seed, rows) if distil else None
    keys = [stage.keys[str(seed)] for stage in row.stages]
    stages = tuple(
        PlannedStage(stage.name, key, parent, recipe.stages[stage.name])
        for stage, key, parent in zip(row.stages, keys, [None, *keys], strict=False)
    )
    own_hash = row.config_hashes[str(seed)]
    return PlannedRow(row.row, row.table, seed, recipe, stages, own_hash, row.network, teacher, row.inputs)


def _recipe(row: PlanRow, plan: PlanFile, folder: Path, registry: Registry) -> Recipe:
    """Return the recipe of a row, resolved as an experiment file in the folder of the run would be."""
    real = Path(os.path.realpath(folder))
    settings: dict[str, Any] = with_own_name(row.recipe, real)
    places: dict[KeyPath, str] = {(): f"{real / 'plan.json'}:1"}
    if weights := settings["model"].get("weights"):  # an experiment file names the file alone
        settings["model"] = {**settings["model"], "weights": weights["file"]}
        places["model", "weights"] = places[()]
    recipe = resolve(with_absolute_paths(Document(settings, places)), registry)
    own_folder: str = with_own_name(plan.experiment_folder, real)
    return dataclasses.replace(recipe, folder=Path(os.path.normpath(real / own_folder)))
