"""Files of several formats, read and written as `reports.file_access` says: whole or not at all."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from reports.digests import digest
from reports.file_access import create_bytes, read_text, write_bytes


def write_text(file: Path, text: str) -> None:
    """Write a text in UTF-8; see `write_bytes`."""
    write_bytes(file, text.encode())


def write_json(file: Path, data: Any) -> None:
    """Write data as JSON; see `write_bytes`.

    Raises:
        ValueError: A number is NaN or infinite, which JSON does not have.
    """
    write_text(file, _json_text(data))


def create_json(file: Path, data: Any) -> None:
    """Write data as JSON into a file that must not exist yet; see `create_bytes`.

    Raises:
        FileExistsError: There is such a file; it stays as it is.
        ValueError: As `write_json`.
    """
    create_bytes(file, _json_text(data).encode())


def read_json(file: Path) -> Any:
    """Return the data in a JSON file; None if the file is missing, not readable or not JSON."""
    try:
        return json.loads(read_text(file))
    except (OSError, ValueError, RecursionError):
        return None


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's content in hex; the file is read again only if its size or time changed.

    Raises:
        OSError: The file cannot be read.
    """
    status = file.stat()
    return _digest(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(file: Path, _size: int, _changed_ns: int) -> str:
    return digest(file)


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV with lines that end in a line feed; see `write_bytes`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(file, text.getvalue())


def _json_text(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
