"""Augmentations: one a file; the file's name is its name in YAML (`augment: {flip: {}}`)."""

from collections.abc import Mapping
from typing import Any

from benchmark.data import Augmentation, CropAugmentation
from benchmark.errors import ExperimentError
from benchmark.registry import Registry


def make_augmentations(settings: Mapping[str, Mapping[str, Any]], registry: Registry) -> list[Augmentation]:
    """Return the augmentations of a stage, in the order of the file.

    Raises:
        ExperimentError: two of them choose the crop.
    """
    made = {name: registry.create("augmentation", name, options) for name, options in settings.items()}
    cropping = [name for name, augmentation in made.items() if isinstance(augmentation, CropAugmentation)]
    if len(cropping) > 1:
        raise ExperimentError(f"augment: {' and '.join(cropping)} both choose where a patch is cut; keep one of them")
    return list(made.values())
