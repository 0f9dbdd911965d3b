"""Keep the report of a run current while the run goes on: write it again whenever its sources have changed."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reports.pages import files, run_page
from reports.results import load

_SOURCES = ("plan.json", "experiment.yaml", "*/record.json", "*/seed*/record.json", "*/curve.csv", "*/seed*/curve.csv")

State = Mapping[str, tuple[int, int]]
"""File, relative to the run -> size and time of its last change."""


@dataclass(frozen=True)
class Update:
    """The report was written."""

    page: Path
    there: int
    """Records that are there, of `planned`."""
    planned: int
    new: tuple[str, ...]
    """Files that are new or have changed since the report before; empty the first time."""
    damage: tuple[str, ...]
    """A line for each damaged file."""

    @property
    def is_complete(self) -> bool:
        """Tell whether every planned record is there."""
        return self.there == self.planned


def watch(
    run: Path, every_seconds: float, wait: Callable[[float], object] = time.sleep, *, latex: bool = False
) -> Generator[Update]:
    """Write the report of `run`, and again after each change of a record, a curve or the plan, until it is complete.

    While records are missing, the page reloads itself. The page that stays at the end does not, even after an
    interrupt.

    Args:
        run: A run folder.
        every_seconds: How often the folder is checked.
        wait: Called between two checks.
        latex: Write each table as LaTeX, too.

    Yields:
        An update after each report.

    Raises:
        ReportError: `run` is no run folder or cannot be written to.
    """
    before: State | None = None
    is_live = False
    try:
        while True:
            if (now := state(run)) != before:
                changed = {name for name in {**(before or now), **now} if (before or now).get(name) != now.get(name)}
                is_live = True  # set before writing, because an interrupt may come while the page is written
                update = _written(run, max(1, round(every_seconds)), tuple(sorted(changed)), latex)
                before, is_live = now, not update.is_complete
                yield update
                if update.is_complete:
                    return
            wait(every_seconds)
    finally:
        if is_live:
            _written(run, 0, (), latex)


def state(run: Path) -> State:
    """Return the present state of the files that a report is made from; a file that vanishes meanwhile is left out."""
    present: dict[str, tuple[int, int]] = {}
    for path in (path for pattern in _SOURCES for path in run.glob(pattern)):
        try:
            status = path.stat()
        except OSError:
            continue
        present[path.relative_to(run).as_posix()] = (status.st_size, status.st_mtime_ns)
    return present


def _written(run: Path, reload_seconds: int, new: tuple[str, ...], latex: bool) -> Update:
    results = load.load(run)
    page = replace(run_page.build(results), reload_seconds=reload_seconds if results.missing else 0)
    there = results.planned - len(results.missing)
    return Update(files.save(page, run / "report", latex=latex), there, results.planned, new, results.damage)
