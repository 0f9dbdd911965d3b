"""The settings of a run, from the text of its experiment.yaml."""

from collections.abc import Mapping
from typing import Any, cast

import yaml


def section(experiment_yaml: str, *path: str) -> dict[str, str]:
    """The settings below `path`, as dotted name -> text; empty where the file has no such part or cannot be read."""
    try:
        section: Any = yaml.safe_load(experiment_yaml)
    except (yaml.YAMLError, RecursionError):
        return {}
    for name in path:
        section = cast(Mapping[Any, Any], section).get(name) if isinstance(section, dict) else None
    return _flat(cast(Mapping[Any, Any], section)) if isinstance(section, dict) else {}


def unequal(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """`name: value against value` for each setting in which the two differ, in the first one's order."""
    names = dict.fromkeys([*first, *second])
    return [
        f"{name} {first.get(name, 'not set')} against {second.get(name, 'not set')}"
        for name in names
        if first.get(name) != second.get(name)
    ]


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(cast(Mapping[Any, Any], value), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(cast(object, value))
    return flat
