"""Small results in the cache folder, each with its SHA-256: the next command need not compute them again."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from benchmark.files import write_text
from reports.file_access import read_text

_MOST_BYTES = 1 << 32
"""Of the index of a cache: a pair takes less than a kilobyte."""


def cache_folder() -> Path:
    """Return `$BENCHMARK_CACHE`, else the user's cache folder; whatever lies there can be deleted at any time.

    A user without a home folder, e.g. in a container, gets a folder among the temporary files.
    """
    chosen = os.environ.get("BENCHMARK_CACHE")
    if chosen:
        return Path(chosen)
    name = "restoration-benchmark"
    try:
        folder = user_cache_path(name, appauthor=False)
    except RuntimeError:  # without a home; earlier versions of platformdirs leave `~`
        folder = Path(name)
    return folder if folder.is_absolute() else Path(tempfile.gettempdir()) / name


def kept_value(kind: str, key: Any, compute: Callable[[], Any]) -> Any:
    """Return a value from the cache folder where an earlier command left it there; else compute it and keep it.

    Args:
        kind: What it is; the name of a folder in the cache folder.
        key: All that the value depends on, as plain data.
        compute: Returns the value as plain data; what it raises is not kept.
    """
    file = cache_folder() / kind / f"{_digest(key)}.json"
    with suppress(OSError):  # another user's
        if content := read_checked(file):
            return content["value"]
    value = compute()
    with suppress(OSError):  # the next command computes it again
        file.parent.mkdir(parents=True, exist_ok=True)
        write_checked(file, {"value": value})
    return value


def write_checked(file: Path, content: Any) -> None:
    """Write data as JSON with their SHA-256, for `read_checked`; see `write_text`."""
    write_text(file, json.dumps({"sha256": _digest(content), "content": content}))


def read_checked(file: Path) -> Any:
    """Return data that `write_checked` wrote; None if the file is missing or not what was written.

    Raises:
        OSError: the file cannot be read.
    """
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        data = json.loads(read_text(file, most_bytes=_MOST_BYTES))
        if data["sha256"] == _digest(data["content"]):
            return data["content"]
    return None


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
