"""The sources an experiment names, opened."""

from collections.abc import Mapping
from typing import Any

from benchmark.data import Augmentation, CropAugmentation, Source
from benchmark.errors import ExperimentError
from benchmark.registry import Registry


def open_source(settings: Mapping[str, Any], registry: Registry) -> Source:
    """The source that resolved settings describe. Raises DataError if its files are missing."""
    options = {key: value for key, value in settings.items() if key != "source"}
    return registry.create("source", settings["source"], options)


def make_augmentations(settings: Mapping[str, Mapping[str, Any]], registry: Registry) -> list[Augmentation]:
    """The augmentations of a stage, in the order of the file. Raises ExperimentError if two of them choose the crop."""
    made = {name: registry.create("augmentation", name, options) for name, options in settings.items()}
    cropping = [name for name, augmentation in made.items() if isinstance(augmentation, CropAugmentation)]
    if len(cropping) > 1:
        raise ExperimentError(f"augment: {' and '.join(cropping)} both choose where a patch is cut; keep one of them")
    return list(made.values())
