"""Checks before anything is trained: can the plan work, and does it fit into memory."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from benchmark.data import Dataset, Pair, Source, in_levels
from benchmark.data.augmentations import make_augmentations
from benchmark.data.image_io import open_image
from benchmark.data.pairing import HasPairFiles
from benchmark.data.partial_cache import PartlyCachedSource
from benchmark.data.sources.clean_folder import CleanFaces, HasFaces
from benchmark.errors import DataError
from benchmark.evaluation.classical import check_installed
from benchmark.evaluation.evaluate import Metrics, load_metrics, pairs, score_image
from benchmark.experiment.load import Experiment
from benchmark.experiment.plan import Plan, PlannedBaseline, PlannedRow, PlannedStage, hash_of, source_id
from benchmark.experiment.schema import ResolvedModel
from benchmark.experiment.stage import Stage
from benchmark.gates.cost import training_bytes
from benchmark.inference.device_setup import Machine
from benchmark.kept_values import kept_value
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.runner.context import Context
from benchmark.runner.count_cache import kept
from benchmark.runner.maps import check_supervision
from benchmark.runner.record_writer import damaged_file, is_finished
from benchmark.training.objective import make_objective
from benchmark.training.train_state import check_optimizer
from reports.metrics import split_of
from reports.schema import CLASSICAL_BASELINES, WithinClaim

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_MOST_FACES = 100
"""That a plan reads of each source, at about 0.1 s each, once."""
_LOG = logging.getLogger(__name__)


def preflight(plan: Plan, context: Context, *, replace: bool) -> list[PlannedRow | PlannedBaseline]:
    """Return what remains to be run, baselines first.

    Raises:
        BenchmarkError: the plan cannot work, or (without `replace`) a finished record belongs to another plan.
    """
    # What is stored has been trained with these components. Rows and seeds share settings.
    unfinished = [stage for stage in plan.stages.values() if context.store.finished(stage.key) is None]
    for stage in {(stage.name, id(stage.settings)): stage for stage in unfinished}.values():
        make_objective(stage.name, stage.settings, context.registry)
        check_optimizer(stage.settings)
        make_augmentations(stage.settings.augment, context.registry)
    load_metrics(context.registry, context.metrics)
    for baseline in plan.baselines:
        if baseline.row in CLASSICAL_BASELINES:
            check_installed(baseline.row)
    for row in {row.row: row for row in plan.rows}.values():  # one seed of each
        check_supervision(row, context)
    models = {hash_of(row.recipe.model.identity()): row.recipe.model for row in plan.rows if row.recipe.model.weights}
    for model in models.values():
        build(model, 0, context.registry)
    rows = (*plan.baselines, *plan.rows)
    todo = [row for row in rows if not is_finished(context.output / row.folder, row.config_hash, replace=replace)]
    for row in todo:
        if file := damaged_file(context.output / row.folder):
            _LOG.warning("%s is missing or damaged: the row is tested again", file)
    return todo


def check_patches(plan: Plan, context: Context, sizes: Callable[[Source], Iterable[tuple[str, int]]]) -> None:
    """Check that no training image is smaller than a patch of it.

    Args:
        plan: the rows, with their stages.
        context: has the sources.
        sizes: gives names and shorter sides of the images of a source: `all_sides`, or `known_sides`.

    Raises:
        DataError: with the image and the stage.
    """
    largest: dict[str, tuple[int, str]] = {}
    for row in plan.rows:
        source = source_id(row.recipe.data["train"])
        for stage in row.stages:
            largest[source] = max(largest.get(source, (0, "")), (stage.settings.patch, stage.name))
    for source, (patch, stage) in largest.items():
        for name, side in sizes(context.sources[source]):
            if side < patch:
                raise DataError(
                    f"train image {name!r} is {side} pixels at its shorter side, "
                    f"protocol.{stage}.patch is {patch}; lower patch or leave the image out"
                )


def all_sides(source: Source) -> Iterator[tuple[str, int]]:
    """Yield the name and the shorter side in pixels of each image of a source; of one in part in the cache, of that.

    Reads all these images.
    """
    read = source.selection if isinstance(source, PartlyCachedSource) else source
    return map(_name_and_side, pairs(read))


def known_sides(source: Source) -> Iterator[tuple[str, int]]:
    """Yield names and shorter sides as far as they are known without decoding or drawing all images.

    Those of image files stand in their headers; of a source that makes its pairs, the first one stands for all.
    """
    if not isinstance(source, HasPairFiles):
        yield tuple(kept_value("first_sides", source.fingerprint, lambda: _name_and_side(source.read(0))))
        return
    for files in map(source.pair_files, range(len(source))):
        with suppress(DataError), open_image(files.degraded) as image:  # `run` reports an image that cannot be read
            yield files.name, min(image.size)


def _name_and_side(pair: Pair) -> tuple[str, int]:
    return pair.name, min(pair.degraded.shape[:2])


def check_faces(plan: Plan, context: Context) -> None:
    """Check that pictures of faces can be damaged: the first `_MOST_FACES` of each source.

    Raises:
        DataError: a picture cannot be read, is too small or shows no skin, or its mask does not fit.
    """
    sources = [context.sources[source_id(spec)] for row in plan.rows for spec in row.recipe.splits.values()]
    for faces in {id(faces): faces for source in sources for faces in _faces_of(source)}.values():
        kept_value("faces_that_can_be_damaged", faces.fingerprint, partial(_read_faces, faces))


def _faces_of(source: Dataset[Any]) -> Iterator[CleanFaces]:
    """Yield the faces that a source damages, or the sources that it mixes."""
    if isinstance(source, HasFaces):
        yield source.faces
        return
    for part in source.parts if isinstance(source, Source) else ():
        yield from _faces_of(part)


def _read_faces(faces: CleanFaces) -> int:
    """Read faces, and return how many."""
    count = min(len(faces), _MOST_FACES)
    for index in range(count):
        faces.read_exactly(index)
    return count


def metrics_in_use(experiment: Experiment) -> dict[str, tuple[str, str]]:
    """Return the split and the metric, by the setting that names it, of all that rows are compared by."""
    claims = [claim for claim in experiment.claims if not isinstance(claim, WithinClaim)]
    primary, tuning = experiment.report.primary, experiment.tuning
    return {
        "report.primary": ("test", primary),
        **{
            f"claim {claim.id!r}": (test, metric)
            for claim in claims
            for metric, test in [split_of(claim.metric or primary)]
        },
        **({"tuning.metric": ("val", tuning.metric.name)} if tuning else {}),
        **{f"metrics: {name}": ("test", name) for name in experiment.document.data.get("metrics", ())},
    }


def check_metrics(plan: Plan, context: Context, settings: Mapping[str, tuple[str, str]]) -> None:
    """Check that metrics apply to the data: to one image of each source at least.

    Args:
        plan: The rows, whose sources are ready.
        context: The sources.
        settings: Split and metric by the setting that names it; see `metrics_in_use`.

    Raises:
        DataError: with the setting, the metric and the split.
    """
    metrics = load_metrics(context.registry, (name for _, name in settings.values()))
    for setting, (split, name) in settings.items():
        specs = [row.recipe.splits[split] for row in plan.rows if split in row.recipe.splits]
        for source in set(map(source_id, specs)):
            images = context.sources[source]
            key = [name, context.registry.digest("metric", name), images.fingerprint]
            if not kept_value("metrics_that_apply", key, partial(_applies, {name: metrics[name]}, images)):
                first = images.read(0)
                (height, width), needs = first.degraded.shape[:2], metrics[name].needs
                unknown = [need for need in needs if need in ("skin", "skin_tone") and getattr(first, need) is None]
                lack = f"; its source does not know {' and '.join(unknown)}" if unknown else ""
                raise DataError(
                    f"{setting}: no image of data.{split} has {name} ({metrics[name].formula}); the first one has "
                    f"{width} x {height} pixels{lack}; choose another metric or other images"
                )


def _applies(metric: Metrics, source: Source) -> bool:
    """Return whether a metric can be computed on any image of a source."""
    for pair in pairs(source):
        degraded = in_levels(pair.degraded)
        if score_image(degraded, degraded, pair.target, metric, pair.skin, pair.skin_tone):
            return True
    return False


def needed_bytes(
    row: PlannedRow, stages: Sequence[PlannedStage], registry: Registry, *, on_gpus: bool = False
) -> tuple[int, PlannedStage]:
    """Return the bytes that the most demanding of a row's stages needs at least, and the stage.

    The bytes are 0 if the network is broken, which its row will report.

    Args:
        row: Has the network.
        stages: Those to be trained.
        registry: Knows the components.
        on_gpus: The bytes on each of the `devices_per_stage`; else those in the memory of the machine.
    """
    model = row.recipe.model.architecture
    needs = [(_training_bytes(model, stage.settings, registry, on_gpus=on_gpus), stage) for stage in stages]
    return max(needs, key=lambda need: need[0])


def machine_bytes(machine: Machine) -> int:
    """Return the memory of the GPU, or the main memory of this machine or container: all of it, used or not."""
    if machine.device.type == "cuda":
        return torch.cuda.get_device_properties(machine.device).total_memory
    limits = [file.read_text().strip() for file in _CGROUP_LIMITS if os.access(file, os.R_OK)]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *map(int, filter(str.isdigit, limits))])


def memory_shortfall(row: PlannedRow, context: Context) -> str | None:
    """Return why the unfinished stages of a row cannot be trained here and what to lower; None if they may fit."""
    stages = [stage for stage in row.stages if context.store.finished(stage.key) is None]
    if not stages:
        return None
    needed, planned = needed_bytes(row, stages, context.registry, on_gpus=context.machine.device.type == "cuda")
    available, stage = machine_bytes(context.machine), planned.settings
    if needed <= available:
        return None
    return (
        f"protocol.{planned.name} needs at least {needed / 1e9:.1f} GB (batch {stage.batch // stage.accumulate} of "
        f"{stage.patch} x {stage.patch} pixels, {stage.precision}), this machine has {available / 1e9:.1f} GB; "
        "lower batch or patch, or raise accumulate"
    )


def _training_bytes(model: ResolvedModel, stage: Stage, registry: Registry, *, on_gpus: bool) -> int:
    batch = stage.batch // (stage.accumulate * (stage.devices_per_stage if on_gpus else 1))
    return _cached_training_bytes(model.model_dump_json(), batch, stage.patch, stage.precision, registry)


@lru_cache(maxsize=1024)  # rows and seeds share networks and shapes
def _cached_training_bytes(model: str, batch: int, patch: int, precision: str, registry: Registry) -> int:
    network = ResolvedModel.model_validate_json(model)

    def count() -> int:
        return training_bytes(build(network, 0, registry), batch, patch, precision)

    try:
        return int(kept(["training bytes", batch, patch, precision], network, registry, count))
    except Exception:  # an error in a user's network fails its own rows only
        return 0
