"""How far a run is, told from its plan and records."""

from collections.abc import Iterable

from reports import text
from reports.results import MISSING, Problem, Results

_MOST_ROWS = 8
"""Named one by one; the rest are counted."""


def planned(results: Results) -> int:
    """How many records the plan asks for."""
    return sum(len(row.seeds) for row in results.plan.rows)


def missing(results: Results) -> tuple[Problem, ...]:
    """Rows and seeds of the plan that have left no record at all; failed and rejected ones have."""
    return tuple(problem for problem in results.problems if problem.kind == MISSING)


def still_to_come(results: Results) -> str:
    """`12 of 30 records are there; still to come: base (seed 1), ...`; empty where none is missing."""
    absent = missing(results)
    if not absent:
        return ""
    there, all_records = planned(results) - len(absent), text.count(planned(results), "record")
    return f"{there} of {all_records} are there; still to come: {text.listing(_named(absent))}."


def _named(absent: Iterable[Problem]) -> list[str]:
    by_row: dict[str, list[int | None]] = {}
    for problem in absent:
        by_row.setdefault(problem.row, []).append(problem.seed)
    named = [_row_and_seeds(row, seeds) for row, seeds in by_row.items()]
    more = named[_MOST_ROWS:]
    return named[:_MOST_ROWS] + ([text.count(len(more), "more row")] if more else [])


def _row_and_seeds(row: str, seeds: list[int | None]) -> str:
    name, numbers = text.printable(row), [str(seed) for seed in seeds if seed is not None]
    return f"{name} ({'seed' if len(numbers) == 1 else 'seeds'} {', '.join(numbers)})" if numbers else name
