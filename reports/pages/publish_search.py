"""Write a search as a published study, which the page of the search is made from again.

    trials.csv search.json confirm.json best.yaml    as the search has them
    records.jsonl.gz     the records of all trials, and of the rows that confirm them
    scores/001.csv.gz    scores of every test image, of the rows that test was read for
    report/              report.md and the figures it shows
    SHA256SUMS           digests of all of these; written last

The same search gives the same bytes. Weights, the journal and the curves of trials stay in its folder.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.errors import FileFormatError, ReportError
from reports.file_access import read_text, write_bytes
from reports.folder_access import replaced, settle
from reports.pages.publish import report_files, without_pictures
from reports.pages.relative_paths import relative_paths
from reports.results.published import (
    COMPRESSED_RECORDS,
    MANIFEST,
    SCORE_COLUMNS,
    SCORES,
    compressed,
    is_study,
    manifest_bytes,
    table_bytes,
)
from reports.results.search import read_search
from reports.schema import Record, read, to_json

_FILES = ("trials.csv", "search.json", "confirm.json", "best.yaml")


def publish_search(folder: Path, study: Path) -> Path:
    """Write the study of a search.

    Args:
        folder: Of the search. Its report must have been written.
        study: The folder of the study. An earlier one is replaced as a whole, once all is written.

    Returns:
        The folder of the study.

    Raises:
        ReportError: The search cannot be read or has no report.
        OSError: The study cannot be written. An earlier one is then untouched.
    """
    if is_study(folder):
        raise ReportError(f"{folder}: is a published study already; publish the folder of a search")
    search = read_search(folder)
    damage = [*search.damage, *(["trials.csv: a line holds no trial"] if search.trials.unreadable else [])]
    if damage:
        raise ReportError(f"{folder}: {damage[0]}; `search` writes it anew")
    if search.settings is None:
        raise ReportError(f"{folder}: has no search.json; `search` writes it anew")
    settle(study)
    records = list(_records(folder))
    contents = {name: read_text(folder / name) for name in _FILES if (folder / name).is_file()}
    report = report_files(folder)
    with replaced(study) as copy:
        for path in sorted(copy.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, text in contents.items():
            write_bytes(copy / name, relative_paths(text, Path.cwd()).encode())
        lines = [json.dumps(_portable(record), separators=(",", ":"), ensure_ascii=False) for _, record in records]
        write_bytes(copy / COMPRESSED_RECORDS, compressed("".join(f"{line}\n" for line in lines)))
        if scores := _scores([(path, record) for path, record in records if "test" in record.scores]):
            write_bytes(copy / SCORES / "001.csv.gz", scores)
        for name, data in report.items():
            write_bytes(copy / "report" / name, data)
        write_bytes(copy / MANIFEST, manifest_bytes(copy))
    return study


def _records(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yield the folder and the record of every row and seed, the trials by number."""
    for path in sorted(folder.rglob("seed*/record.json"), key=_by_number):
        try:
            yield path.parent, read(Record, path)
        except FileFormatError as error:
            raise ReportError(f"{path}: {error}; remove it, `search` runs the trial again") from None


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return what sorts trial.10 behind trial.9."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", path.as_posix())]


def _portable(record: Record) -> object:
    return relative_paths(to_json(without_pictures(record)), Path.cwd())


def _scores(records: Sequence[tuple[Path, Record]]) -> bytes | None:
    """Return the scores of the test images of these rows, each with its folder, as one table; None without any."""
    columns: dict[str, None] = {}
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for folder, record in records:
        for line in csv.DictReader(io.StringIO(read_text(folder / "scores.csv"), newline="")):
            if line["split"] == "test":
                key = (record.row, str(record.seed), line["split"], line["image"])
                lines.setdefault(key, {})[line["metric"]] = line["value"]
                columns[line["metric"]] = None
    table = ([*key, *(values.get(name, "") for name in columns)] for key, values in lines.items())
    return table_bytes([*SCORE_COLUMNS, *columns], table) if lines else None
