"""The trials of a search, from the table that it keeps up to date (`trials.csv`)."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.errors import ReportError
from reports.file_access import read_text
from reports.schema import loads

TRIALS = "trials.csv"
_BEFORE, _AFTER = ("trial", "status"), ("steps_trained", "steps_reused", "seconds", "message")
"""The columns around those of the metric and of the parameters."""


@dataclass(frozen=True)
class Trial:
    """`value`: the metric on val, None where the trial was not trained to its end; `message` says why not."""

    number: int
    status: str
    value: float | None
    values: Mapping[str, Any]
    """Parameter -> value, as JSON has it; a trial that ended early may lack some."""
    steps_trained: int
    steps_reused: int
    seconds: float
    message: str


@dataclass(frozen=True)
class Trials:
    """All trials, by number. `unreadable`: how many lines of the table are not those of a trial."""

    metric: str
    parameters: tuple[str, ...]
    trials: tuple[Trial, ...]
    unreadable: int


def read(file: Path) -> Trials:
    """Return the trials in a table.

    Raises:
        ReportError: The file is no table of trials.
    """
    try:
        header, *lines = csv.reader(io.StringIO(read_text(file, "backslashreplace"), newline=""))
    except (OSError, ValueError, csv.Error) as error:
        raise ReportError(f"{file}: not readable as a table of trials ({error}); `search` writes it anew") from error
    if tuple(header[:2]) != _BEFORE or tuple(header[-4:]) != _AFTER or len(header) < 7:
        raise ReportError(f"{file}: has other columns than those of a search; `search` writes it anew")
    parsed = [_trial(header, line) for line in lines]
    trials = sorted((trial for trial in parsed if trial), key=lambda trial: trial.number)
    return Trials(header[2], tuple(header[3:-4]), tuple(trials), len(parsed) - len(trials))


def _trial(header: Sequence[str], line: Sequence[str]) -> Trial | None:
    """Return the trial in a line; None where it is cut or was changed."""
    cells = dict(zip(header, line, strict=False))
    try:
        return Trial(
            number=_count(cells["trial"]),
            status=cells["status"],
            value=float(loads(cells[header[2]])) if cells[header[2]] else None,
            values={name: loads(cells[name]) for name in header[3:-4] if cells[name]},
            steps_trained=_count(cells["steps_trained"]),
            steps_reused=_count(cells["steps_reused"]),
            seconds=float(loads(cells["seconds"])),
            message=cells["message"],
        )
    except (KeyError, TypeError, ValueError):
        return None


def _count(word: str) -> int:
    return int(loads(word))
