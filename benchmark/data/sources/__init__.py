"""Sources of pairs: one a file; the file's name is its name in YAML (`source: synthetic_faces`)."""

from collections.abc import Mapping
from typing import Any

from benchmark.data import Source
from benchmark.registry import Registry


def open_source(settings: Mapping[str, Any], registry: Registry) -> Source:
    """Return the source that resolved settings describe.

    Raises:
        DataError: its files are missing.
    """
    options = {key: value for key, value in settings.items() if key != "source"}
    return registry.create("source", settings["source"], options)
