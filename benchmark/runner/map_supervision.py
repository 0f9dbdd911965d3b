"""Losses that compare maps with the truth: which maps they are, and whether head and data of a row have them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from benchmark.data import Pair, Source
from benchmark.data.augmentations import make_augmentations
from benchmark.errors import ExperimentError
from benchmark.experiment.plan import PlannedStage, Run
from benchmark.registry import Registry
from benchmark.runner.context import Context
from heads import Head

_PROBE_PX = 32


def supervised_maps(run: Run, registry: Registry) -> frozenset[str]:
    """Maps that any loss of the row compares with the truth; others need not be near it, so they are not scored."""
    terms = [term for stage in run.stages for term in stage.settings["loss"].items()]
    losses = {loss for loss, settings in terms if settings["weight"]}
    return frozenset(name for loss in losses for name in registry.find("loss", loss).supervises)


def check_supervision(run: Run, context: Context) -> None:
    """Raise ExperimentError where a loss compares a map that the head does not predict or whose truth is not known.

    Reads the first train image of a row with such a loss, of each source in a mix: only a pair can tell whether its
    source knows the maps.
    """
    for stage in run.stages:
        for loss in sorted(stage.settings["loss"]):
            names = context.registry.find("loss", loss).supervises
            for reason in _obstacles(run, stage, names, context) if names else ():
                raise ExperimentError(f"row {run.row}: protocol.{stage.name}: loss {loss!r} {reason}")


def _obstacles(run: Run, stage: PlannedStage, names: Sequence[str], context: Context) -> Iterator[str]:
    """Why a loss cannot compare these maps, and what to do about it."""
    head, train = run.config["model"]["head"], run.config["data"]["train"]
    missing = _missing(names, head, context.registry)
    if missing:
        yield (
            f"supervises {_all(missing)}, which head {head['name']!r} does not predict; "
            "choose a head that does or leave the loss out"
        )
    pairs = _examples(context.source(run.config, "train"))
    # The truth of a mask is computed from the two images.
    truth = {"gain": [pair.gain for pair in pairs], "spots": [pair.spots for pair in pairs]}
    unknown = [name for name in names if any(values is None for values in truth.get(name, []))]
    if unknown:
        yield (
            f"supervises {_all(unknown)}, which data.train ({train['source']}) does not know; "
            "leave the loss out or train on synthetic_faces or clean_folder"
        )
    dropped = [name for name in names if name in truth]
    for augmentation in _dropping(stage, context.registry) if dropped else ():
        yield f"supervises {_all(dropped)}, which augmentation {augmentation!r} drops; leave one of the two out"


def _examples(source: Source) -> list[Pair]:
    """The first pair of a source, or of each source that it mixes."""
    mixed = [part for part in source.parts if isinstance(part, Source)]
    return [pair for part in mixed for pair in _examples(part)] or [source.read(0)]


def _dropping(stage: PlannedStage, registry: Registry) -> list[str]:
    """Names of the stage's augmentations that drop maps."""
    settings = stage.settings["augment"]
    made = zip(settings, make_augmentations(settings, registry), strict=True)
    return [name for name, augmentation in made if augmentation.drops_maps]


@torch.inference_mode()
def predicted_maps(settings: Mapping[str, Any], registry: Registry) -> list[str]:
    """Names of the maps that a head predicts, told by running it on nothing."""
    options = {key: value for key, value in settings.items() if key != "name"}
    head: Head = registry.create("head", settings["name"], options, in_channels=4)
    features, degraded = (torch.zeros(1, channels, _PROBE_PX, _PROBE_PX) for channels in (4, 3))
    return list(head(features, degraded).maps)


def _missing(names: Sequence[str], head: Mapping[str, Any], registry: Registry) -> list[str]:
    """Those maps that a head does not predict."""
    with suppress(Exception):  # a head that cannot be run concerns its rows alone, and they will tell why
        predicted = predicted_maps(head, registry)
        return [name for name in names if name not in predicted]
    return []


def _all(names: Sequence[str]) -> str:
    return " and ".join(names)
