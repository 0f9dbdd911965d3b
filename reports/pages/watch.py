"""Keeps the report of a run current while the run goes on: written anew only when what it is made from has changed."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reports.pages import files, page
from reports.results import load
from reports.results.progress import missing, planned

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
    """Files that have come or changed since the report before; empty the first time."""

    @property
    def is_complete(self) -> bool:
        """Every planned record is there."""
        return self.there == self.planned


def watch(run: Path, every_seconds: float, wait: Callable[[float], object] = time.sleep) -> Generator[Update]:
    """Write the report of `run`, and again whenever a record, a curve or the plan has changed; ends when all are there.

    `wait` is called between two looks at the folder. While records are missing the page loads itself anew; however
    this ends, an interrupt included, the page that stays does not.

    Raises: `ReportError` where `run` is no run folder or cannot be written to.
    """
    before: State | None = None
    is_live = False
    try:
        while True:
            if (now := state(run)) != before:
                is_live = True  # before the page is: an interrupt may come while it is written
                update = _written(run, max(1, round(every_seconds)), _new(before, now))
                before, is_live = now, not update.is_complete
                yield update
                if update.is_complete:
                    return
            wait(every_seconds)
    finally:
        if is_live:
            _written(run, 0, ())


def state(run: Path) -> State:
    """The files that a report is made from, as they are now; those that vanish under our eyes are left out."""
    found: dict[str, tuple[int, int]] = {}
    for pattern in _SOURCES:
        for path in run.glob(pattern):
            try:
                status = path.stat()
            except OSError:
                continue
            found[path.relative_to(run).as_posix()] = (status.st_size, status.st_mtime_ns)
    return found


def _new(before: State | None, now: State) -> tuple[str, ...]:
    if before is None:
        return ()
    return tuple(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))


def _written(run: Path, reload_seconds: int, new: tuple[str, ...]) -> Update:
    results = load.load(run)
    there, all_records = planned(results) - len(missing(results)), planned(results)
    built = page.build(results)
    live = replace(built, reload_seconds=reload_seconds) if there < all_records else built
    return Update(files.save(live, run / "report"), there, all_records, new)
