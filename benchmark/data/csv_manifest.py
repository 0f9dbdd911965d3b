"""CSV files a user writes about images: which pair up, which split and which group each belongs to."""

import csv
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from benchmark.data.image_io import SUFFIXES
from benchmark.errors import DataError


def read_table(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a CSV file with a header, by column, without blanks at both ends of a cell.

    Raises DataError if it cannot be read as UTF-8, lacks one of `columns`, has no lines or an empty cell in them.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:  # -sig: spreadsheets write a byte-order mark
            reader = csv.DictReader(handle, restval="")
            header = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            lines = [{key: (value or "").strip() for key, value in line.items() if key} for line in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file}: not a readable CSV file ({error}); expected columns {', '.join(columns)}") from None
    missing = [name for name in columns if name not in header]
    if missing:
        known = ", ".join(header) or "none"
        raise DataError(f"{file}: no column {missing[0]!r} in its first line; it has {known}")
    if not lines:
        raise DataError(f"{file}: no lines below the header {', '.join(header)}")
    for number, line in enumerate(lines, start=2):
        empty = next((name for name in columns if not line[name]), None)
        if empty:
            raise DataError(f"{file}: entry {number}: {empty!r} is empty")
    return lines


def image_name(path: str) -> str:
    """The name an image has in its folder, of a path as people write it: with or without suffix, `/` or `\\`."""
    plain = PurePosixPath(unicodedata.normalize("NFC", path.replace("\\", "/")))
    return (plain.with_suffix("") if plain.suffix.lower() in SUFFIXES else plain).as_posix()
