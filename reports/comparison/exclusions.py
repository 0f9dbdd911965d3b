"""Rows that a leaderboard cannot rank, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reports import text
from reports.grid import Column, Grid, plain
from reports.metrics import Metric
from reports.results import Problem, Results
from reports.results.summary import Summary, summaries

_COLUMNS = (
    Column("row", "row", numeric=False, heads_row=True),
    Column("what", "what", numeric=False),
    Column("reason", "reason", numeric=False),
    Column("folder", "folder", numeric=False),
)


@dataclass(frozen=True)
class Unranked:
    """One row, or a whole run where `row` is empty."""

    row: str
    what: str
    reason: str
    folder: str


def broken(run: Path, reason: str) -> Unranked:
    """A run that cannot be read."""
    return Unranked("", "unreadable run", reason, str(run))


def unranked(results: Results, metric: Metric, *, keeping_gates: bool) -> list[Unranked]:
    """The rows of one experiment that cannot be ranked by `metric`, and records that belong to none of its rows."""
    rows = summaries(results)
    of_rows = [_of_row(row, results, metric, keeping_gates) for row in rows.values()]
    strangers = [problem for problem in results.problems if problem.row not in rows]
    return [
        *(line for line in of_rows if line),
        *(Unranked(one.row, one.kind, one.reason, str(results.folder / one.row)) for one in strangers),
    ]


def grid(lines: Sequence[Unranked]) -> Grid | None:
    """The table of what was left out; None where nothing was."""
    if not lines:
        return None
    cells = tuple((plain(one.row), plain(one.what), plain(one.reason), plain(one.folder)) for one in lines)
    return Grid("unranked", "Rows and runs that are not ranked, and why.", _COLUMNS, cells)


def _of_row(row: Summary, results: Results, metric: Metric, keeping_gates: bool) -> Unranked | None:
    what, reason = _why(row, [one for one in results.problems if one.row == row.row], metric, keeping_gates)
    return Unranked(row.row, what, reason, str(results.folder / row.row)) if what else None


def _why(row: Summary, problems: Sequence[Problem], metric: Metric, keeping_gates: bool) -> tuple[str, str]:
    """What kept the row out and the reason; empty where it can be ranked."""
    if len(row.finished) < row.planned:
        kinds = list(dict.fromkeys(problem.kind for problem in problems))
        what = "incomplete" if row.finished else text.listing(kinds)
        return what, "; ".join([_progress(row), *map(_told, problems)])
    if len(row.by_seed(metric.name)) < row.planned:
        return "not scored", f"has no {metric.name} on test"
    if keeping_gates and row.failed_gates:
        return "fails a gate", text.listing([gate.name for gate in row.failed_gates])
    return "", ""


def _progress(row: Summary) -> str:
    return "not finished" if row.is_baseline else f"{len(row.finished)} of {text.count(row.planned, 'seed')} finished"


def _told(problem: Problem) -> str:
    place = "" if problem.seed is None else f"{text.seed_name(problem.seed)} "
    return f"{place}{problem.kind}: {problem.reason}"
