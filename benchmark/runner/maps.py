"""Maps that heads predict: checked against losses that supervise them, and written as images for the report."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.data import Pair, Source
from benchmark.data.augmentations import make_augmentations
from benchmark.errors import ExperimentError
from benchmark.evaluation.evaluate import pairs
from benchmark.experiment.plan import Plan, PlannedRow, PlannedStage
from benchmark.experiment.schema import Component
from benchmark.inference.restore_images import map_image
from benchmark.model import load, restore_with_maps
from benchmark.registry import Registry
from benchmark.runner.context import Context
from benchmark.runner.record_writer import is_finished, write_images
from benchmark.runner.row_leases import add_digests
from heads import Head

_PROBE_PX = 32


def supervised_maps(row: PlannedRow, registry: Registry) -> frozenset[str]:
    """Return the maps that any loss of the row compares with the truth. Only these are scored."""
    terms = [item for stage in row.stages for item in stage.settings.loss.items()]
    losses = {name for name, term in terms if term.weight}
    return frozenset(name for loss in losses for name in registry.find("loss", loss).supervises)


def check_supervision(row: PlannedRow, context: Context) -> None:
    """Check that the head predicts, and the training data know, every map that a loss of the row supervises.

    Reads the first training image of a row with such a loss, of each source in a mixture: only a pair shows whether its
    source knows the maps.

    Raises:
        ExperimentError: with the loss, the map and what to change.
    """
    for stage in row.stages:
        for loss in sorted(stage.settings.loss):
            maps = context.registry.find("loss", loss).supervises
            for obstacle in _obstacles(row, stage, maps, context) if maps else ():
                raise ExperimentError(f"row {row.row}: protocol.{stage.name}: loss {loss!r} {obstacle}")


@torch.inference_mode()
def predicted_maps(head: Component, registry: Registry) -> list[str]:
    """Return the names of the maps that a head predicts, from a forward pass on zeros."""
    made: Head = registry.create("head", head.name, head.options, in_channels=4)
    features, degraded = (torch.zeros(1, channels, _PROBE_PX, _PROBE_PX) for channels in (4, 3))
    return list(made(features, degraded).maps)


def write_map_images(plan: Plan, images: Sequence[str], context: Context) -> None:
    """Write the maps of some test images as PNG, for the first finished seed of each row whose head predicts maps.

    The files are `<row>/<seed>/maps/<image>.<map>.png`, and `pairs/maps/<image>.<map>.png` with the true maps where
    they are known. Files that exist stay.
    """
    written_rows: set[str] = set()
    for row in plan.rows:
        folder = context.output / row.folder
        is_trained = is_finished(folder, row.config_hash, replace=True) and (folder / "weights.safetensors").is_file()
        if row.row in written_rows or not is_trained:
            continue
        written_rows.add(row.row)
        names = [name for name in predicted_maps(row.recipe.model.head, context.registry) if _is_shown(name)]
        files = (folder / "maps" / f"{image}.{name}.png" for image in images for name in names)
        if not all(file.is_file() for file in files):
            restorer = load(folder, context.registry).to(context.machine.device)
            for pair in pairs(context.source(row.recipe.data["test"])):
                if pair.name in images:
                    maps = restore_with_maps(restorer, np.array(pair.degraded), context.machine.device)[1]
                    write_images(folder / "maps", _images(pair.name, maps))
                    truth = {"gain": pair.gain, "spots": pair.spots}
                    write_images(context.output / "pairs" / "maps", _images(pair.name, truth))
        if names:
            add_digests(row.folder, context.output, context.store, "maps")


def _obstacles(row: PlannedRow, stage: PlannedStage, maps: Sequence[str], context: Context) -> Iterator[str]:
    """Yield why a loss cannot compare these maps, and what to do about it."""
    head, train = row.recipe.model.head, row.recipe.data["train"]
    predicted = list(maps)
    with suppress(Exception):  # a head that cannot run fails its own rows, which report the reason
        predicted = predicted_maps(head, context.registry)
    missing = [name for name in maps if name not in predicted]
    if missing:
        yield (
            f"supervises {' and '.join(missing)}, which head {head.name!r} does not predict; "
            "choose a head that does or leave the loss out"
        )
    examples = _examples(context.source(train))
    # The true mask is computed from the two images.
    truth = {"gain": [pair.gain for pair in examples], "spots": [pair.spots for pair in examples]}
    unknown = [name for name in maps if any(values is None for values in truth.get(name, []))]
    if unknown:
        yield (
            f"supervises {' and '.join(unknown)}, which data.train ({train.source}) does not know; "
            "leave the loss out or train on synthetic_faces or clean_folder"
        )
    needed = [name for name in maps if name in truth]
    augmentations = stage.settings.augment
    for name, made in zip(augmentations, make_augmentations(augmentations, context.registry), strict=True):
        if needed and made.drops_maps:
            yield f"supervises {' and '.join(needed)}, which augmentation {name!r} drops; leave one of the two out"


def _examples(source: Source) -> list[Pair]:
    """Return the first pair of a source, or of each source that it mixes."""
    mixed = [part for part in source.parts if isinstance(part, Source)]
    return [pair for part in mixed for pair in _examples(part)] or [source.read(0)]


def _images(image: str, maps: Mapping[str, NDArray[Any] | None]) -> dict[str, NDArray[np.uint8]]:
    """Return the images of maps `H W C` by file name; maps with neither one nor three channels have none."""
    return {
        f"{image}.{name}": map_image(name, values)
        for name, values in maps.items()
        if values is not None and _is_shown(name) and values.shape[-1] in (1, 3)
    }


def _is_shown(name: str) -> bool:
    return not name.endswith("_logits")  # the mask is computed from its logits
