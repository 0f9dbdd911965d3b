"""Small results that are kept in the cache folder, so that the next command need not compute them again."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from benchmark.files import read_json, write_json


def cache_folder() -> Path:
    """Return `$BENCHMARK_CACHE`, else the user's cache folder; whatever lies there can be deleted at any time.

    A user without a home folder, e.g. in a container, gets a folder among the temporary files.
    """
    chosen = os.environ.get("BENCHMARK_CACHE")
    if chosen:
        return Path(chosen)
    folder = user_cache_path("restoration-benchmark", appauthor=False)
    return folder if folder.is_absolute() else Path(tempfile.gettempdir()) / folder.name  # `~` stays without a home


def kept_value(kind: str, key: Any, compute: Callable[[], Any]) -> Any:
    """Return a value from the cache folder where an earlier command left it there; else compute it and keep it.

    Args:
        kind: What it is; the name of a folder in the cache folder.
        key: All that the value depends on, as plain data.
        compute: Returns the value as plain data; what it raises is not kept.
    """
    name = _digest(key)
    file = cache_folder() / kind / f"{name}.json"
    match read_json(file):
        case {"key": key_digest, "value": value, "sha256": digest} if key_digest == name and digest == _digest(value):
            return value
        case _:  # not there, or damaged
            value = compute()
    with suppress(OSError):  # the next command computes it again
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"key": name, "value": value, "sha256": _digest(value)})
    return value


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
