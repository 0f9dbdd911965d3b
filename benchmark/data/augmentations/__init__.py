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


def check_share(name: str, value: float) -> None:
    """Check an option that is a probability or a share.

    Raises:
        ValueError: it is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; it must be from 0 to 1")


def check_range(name: str, limits: tuple[float, float], least: float, most: float) -> None:
    """Check an option that is the smallest and the largest of the values that are drawn.

    Raises:
        ValueError: they are not in order, or not from `least` to `most`.
    """
    if not least <= limits[0] <= limits[1] <= most:
        raise ValueError(
            f"{name} is [{limits[0]}, {limits[1]}]; write [smallest, largest], both from {least:g} to {most:g}"
        )
