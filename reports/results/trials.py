"""The trials of a search, from the table that it keeps up to date (`trials.csv`)."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.errors import ReportError

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
        header, *lines = csv.reader(
            io.StringIO(file.read_text(encoding="utf-8", errors="backslashreplace"), newline="")
        )
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
            number=int(cells["trial"]),
            status=cells["status"],
            value=_finite(cells[header[2]]) if cells[header[2]] else None,
            values={name: json.loads(cells[name]) for name in header[3:-4] if cells[name]},
            steps_trained=int(cells["steps_trained"]),
            steps_reused=int(cells["steps_reused"]),
            seconds=_finite(cells["seconds"]),
            message=cells["message"],
        )
    except (KeyError, ValueError, RecursionError):
        return None


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word} is not a finite number")
    return value
