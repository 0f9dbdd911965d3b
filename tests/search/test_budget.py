"""A budget of time: which rows come first, and when none is started any more."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.runner.events import RowFinished
from benchmark.search.budget import BudgetedRows, RowWork, work_of
from benchmark.search.interim import RowSeeds


@dataclass(frozen=True)
class Stage:
    key: str


@dataclass(frozen=True)
class Row:
    row: str
    seed: int
    stages: tuple[Stage, ...] = ()


def rows(name: str, *seeds: int) -> tuple[Any, ...]:
    return tuple(Row(name, seed, (Stage(f"{name} {seed}"),)) for seed in seeds)


def handed_out(budget: BudgetedRows) -> list[str]:
    names = []
    while given := budget():
        names += [f"{row.row} {row.seed}" for row in given]
    return names


def test_the_base_row_comes_first_then_what_settles_most_an_hour() -> None:
    """All seeds of a row one after the other, since a verdict needs all of them."""
    work = [
        RowWork("base", rows("base", 5, 6), 10.0, None),
        RowWork("likely", rows("likely", 5, 6), 10.0, 0.9),
    ]
    assert handed_out(BudgetedRows(work, time.monotonic() + 1000)) == ["base 5", "base 6", "likely 5", "likely 6"]


def test_no_row_starts_that_would_not_end_in_time() -> None:
    """A cheaper one that still fits does."""
    work = [RowWork("slow", rows("slow", 0), 500.0, 0.9), RowWork("fast", rows("fast", 0), 50.0, 0.1)]
    assert handed_out(BudgetedRows(work, time.monotonic() + 100)) == ["fast 0"]
    assert handed_out(BudgetedRows(work, time.monotonic() - 1)) == []


def test_the_time_of_a_finished_seed_replaces_the_estimate() -> None:
    """Estimates leave out losses and evaluation."""

    class Record:
        row, status, provenance = "row", "done", {"seconds": 200.0}

    budget = BudgetedRows([RowWork("row", rows("row", 0, 1), 10.0, None)], time.monotonic() + 100)
    assert [row.seed for row in budget()] == [0]
    budget.note(RowFinished("row/seed0", Record(), ""))  # type: ignore[arg-type]
    assert budget() == () and [row.seed for row in budget.waiting] == [1]


def test_rows_are_ordered_by_their_records(write_run: Callable[..., Path], tmp_path: Path) -> None:
    """An open row that may be resolved comes before one that can hardly be; dear rows come later."""
    stopped = {"t.better": RowSeeds(5, 5), "t.worse": RowSeeds(5, 5)}
    counts = {"base": RowSeeds(10), "t.near": RowSeeds(10), **stopped}
    run = write_run(tmp_path / "run", counts)
    for row in ("base", "t.near"):
        for seed in range(5, 10):
            (run / row / f"seed{seed}/record.json").unlink()
    todo = [*rows("t.near", *range(5, 10)), *rows("base", *range(5, 10))]
    work = work_of(todo, run, {f"{row} 5": 7.0 for row in ("base", "t.near")})
    assert [item.row for item in work] == ["base", "t.near"]
    assert work[1].chance is not None and 0 <= work[1].chance <= 1
    assert [item.seconds for item in work] == [35.0, 35.0]
    unknown = work_of(rows("new", 0), tmp_path, {"new 0": 7.0})
    assert unknown[0].chance is None and unknown[0].chance_per_hour == 0.5 / 7.0 * 3600
