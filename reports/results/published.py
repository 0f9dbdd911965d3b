"""The files of a published study: a run in a few small files that belong into a repository.

    records.jsonl          all records, one a line, in the order of the plan
    scores/<batch>.csv.gz  scores of every test image, one column a metric; a batch is what was published at one time
    curves/<batch>.csv.gz  the loss at the steps that the training noted
    plan.json experiment.yaml tuning.json
    report/                report.md and the figures it shows
    SHA256SUMS             digests of all of these, as `sha256sum --check` reads them; written last

`reports.pages.publish` writes them, `reports.results.load` reads them like a run folder.

The study of a search (`reports.pages.publish_search`) has trials.csv, search.json, confirm.json and best.yaml, no plan,
and its records are compressed, since those of its trials are many and alike: records.jsonl.gz.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.digests import check, digests_of
from reports.errors import FileFormatError, ReportError
from reports.file_access import MOST_BYTES, read_bytes, read_text
from reports.schema import Record, loads, parse

RECORDS = "records.jsonl"
COMPRESSED_RECORDS = "records.jsonl.gz"
MANIFEST = "SHA256SUMS"
SCORES = "scores"
CURVES = "curves"
SCORE_COLUMNS = ("row", "seed", "split", "image")
"""Columns of a batch of scores; the metrics follow."""
CURVE_COLUMNS = ("row", "seed", "stage", "step", "loss")

Key = tuple[str, int | None]
"""Row and seed."""


@dataclass(frozen=True)
class Study:
    """What a published study holds besides its plan; lines of tables are text, as in the CSV files of a run."""

    records: Mapping[Key, Record]
    scores: dict[Key, list[list[str]]]
    """(row, seed) -> lines of split, image, metric, value."""
    curves: dict[Key, list[list[str]]]
    """(row, seed) -> lines of stage, step, name, value."""
    notes: tuple[str, ...]
    is_checked: bool
    """Whether its files have the digests in its manifest; studies of earlier versions have none."""


def is_study(folder: Path) -> bool:
    """Return whether a folder is a published study."""
    return (folder / RECORDS).is_file() or (folder / MANIFEST).is_file()


def read_study(folder: Path) -> Study | None:
    """Return the records and tables of a published study; None where the folder is none.

    Without a manifest, what is damaged is a note.

    Raises:
        ReportError: A file is not the one that the manifest names; nothing tells which of its rows can be trusted.
    """
    if not is_study(folder):
        return None
    digests = _manifest(folder)
    try:
        check(folder, (name for name in digests if not name.startswith("report/")), digests, MANIFEST)
    except FileFormatError as error:
        raise ReportError(f"{folder}/{error}; publish the run again, or restore the study from a copy") from None
    notes: list[str] = []
    records: dict[Key, Record] = {}
    compressed_records = folder / COMPRESSED_RECORDS
    file = compressed_records if compressed_records.is_file() else folder / RECORDS
    for number, line in enumerate(_lines(file), 1):
        try:
            record = parse(Record, loads(line))
        except FileFormatError as error:
            notes.append(f"{file.name}, line {number}: {error}.")
            continue
        records[record.row, record.seed] = record
    scores: dict[Key, list[list[str]]] = {}
    for key, (split, image), values in _tables(folder / SCORES, SCORE_COLUMNS, notes):
        scores.setdefault(key, []).extend([split, image, metric, value] for metric, value in values.items() if value)
    curves: dict[Key, list[list[str]]] = {}
    for key, (stage, step), values in _tables(folder / CURVES, CURVE_COLUMNS[:4], notes):
        curves.setdefault(key, []).append([stage, step, "loss", values.get("loss", "")])
    return Study(records, scores, curves, tuple(notes), bool(digests))


def batches(folder: Path) -> list[Path]:
    """Return the files of a table, in the order in which they were published."""
    return sorted(folder.glob("*.csv.gz"))


def manifest_bytes(folder: Path) -> bytes:
    """Return the manifest of a study whose other files are written."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests_of(folder, MANIFEST).items()).encode()


def _manifest(folder: Path) -> dict[str, str]:
    """Return the digests in the manifest of a study; empty where it has none."""
    lines = _lines(folder / MANIFEST) if (folder / MANIFEST).exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _lines(file: Path) -> list[str]:
    try:
        is_compressed = file.suffix == ".gz"
        text = (
            _inflated(file).decode(errors="backslashreplace") if is_compressed else read_text(file, "backslashreplace")
        )
        return text.removesuffix("\n").split("\n")
    except OSError as error:
        raise ReportError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, zlib.error) as error:
        raise ReportError(f"{file}: cannot be read ({error})") from None


def _inflated(file: Path) -> bytes:
    """Return the content of a compressed file, whose length is bounded."""
    inflater = zlib.decompressobj(wbits=31)  # of gzip
    data = inflater.decompress(read_bytes(file), MOST_BYTES)
    if not inflater.eof:
        raise ValueError("it is cut, or too large")
    return data


def table_bytes(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    """Return a table as compressed CSV; equal tables give equal bytes, since the time is left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return compressed(text.getvalue())


def compressed(text: str) -> bytes:
    """Return a text as gzip does, without the time."""
    return gzip.compress(text.encode(), 9, mtime=0)


def _tables(
    folder: Path, columns: Sequence[str], notes: list[str]
) -> Iterator[tuple[Key, tuple[str, str], dict[str, str]]]:
    """Yield row and seed, the other two named columns, and the further columns by name, of every line."""
    for file in batches(folder):
        try:
            header, *lines = csv.reader(io.StringIO(_inflated(file).decode(), newline=""))
            if tuple(header[:4]) != tuple(columns):
                raise ValueError(f"its columns are not {', '.join(columns)}, ...")
            for row, seed, first, second, *values in lines:
                yield (row, int(seed) if seed else None), (first, second), dict(zip(header[4:], values, strict=True))
        except (OSError, ValueError, zlib.error, csv.Error) as error:
            notes.append(f"{folder.name}/{file.name}: not readable ({' '.join(str(error).split())}).")
