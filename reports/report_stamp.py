"""Whether the report of a run is the one that its files would give now, so that it need not be written again."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reports.errors import FileFormatError
from reports.file_access import write_bytes
from reports.schema import RUNGS, RungsFile, read

_STAMP = ".report_made_from"
_CODE = (".py", ".j2", ".css", ".js")
_FILES = ("plan.json", "experiment.yaml", "tuning.json", RUNGS)


def is_current(run: Path) -> bool:
    """Return whether the report in the folder of a run was made from its present files by this code."""
    stamp, pages = run / _STAMP, [run / "report" / name for name in ("index.html", "report.md")]
    try:
        return all(page.is_file() for page in pages) and stamp.read_text(encoding="ascii") == _digest(run)
    except (OSError, ValueError):
        return False


def note_inputs(run: Path) -> None:
    """Note what the report, which was written just now, was made from. An OSError leaves no note."""
    with suppress(OSError):
        write_bytes(run / _STAMP, _digest(run).encode("ascii"))


def _digest(run: Path) -> str:
    """Return the hash of all that a report depends on; a record has the digests of the files beside it."""
    code = [file for file in sorted(Path(__file__).parent.rglob("*")) if file.suffix in _CODE]
    digest = hashlib.sha256()
    for file in (*_inputs(run), *code):
        digest.update(f"{file}\n".encode(errors="backslashreplace"))
        digest.update(file.read_bytes())
    for file in sorted((run / "pairs").rglob("*.png")):
        digest.update(f"{file} {file.stat().st_size}\n".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _inputs(run: Path) -> Iterator[Path]:
    """Yield the records and settings of a run, and those of the rungs that its report shows beside it."""
    folders = [run]
    with suppress(FileFormatError):  # a run without rungs
        folders += [run.resolve().with_name(rung.folder) for rung in read(RungsFile, run / RUNGS).rungs]
    for folder in folders:
        yield from (folder / name for name in _FILES if (folder / name).is_file())
        yield from sorted([*folder.glob("*/record.json"), *folder.glob("*/seed*/record.json")])
