"""Files written whole or not at all: to a temporary name, flushed to disk, renamed."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any


def write_bytes(file: Path, data: bytes) -> None:
    """Makes the folder. Raises OSError, e.g. on a full disk; what stood under the name before then still does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    write_bytes(file, text.encode())


def write_json(file: Path, data: Any) -> None:
    """Without NaN and infinity, which are not JSON: they raise ValueError."""
    write_text(file, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(file: Path) -> Any:
    """The data in a file; None if it is missing or not JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def digest_of(file: Path) -> str:
    """SHA-256 of a file's content, in hex; of one that has not changed it is computed once. Raises OSError."""
    status = file.stat()
    return _digest(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(file: Path, _size: int, _changed_ns: int) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(file, text.getvalue())
