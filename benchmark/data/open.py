"""The sources an experiment names, opened."""

from collections.abc import Mapping
from typing import Any

from benchmark.data import Augmentation, Source
from benchmark.registry import Registry


def open_source(settings: Mapping[str, Any], registry: Registry) -> Source:
    """The source that resolved settings describe. Raises DataError if its files are missing."""
    options = {key: value for key, value in settings.items() if key != "source"}
    return registry.create("source", settings["source"], options)


def make_augmentations(settings: Mapping[str, Mapping[str, Any]], registry: Registry) -> list[Augmentation]:
    """The augmentations of a stage, in the order of the file."""
    return [registry.create("augmentation", name, options) for name, options in settings.items()]
