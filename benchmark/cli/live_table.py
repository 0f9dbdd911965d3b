"""The live table of a run in a terminal: devices, their jobs, how far and how fast these are, and the time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.cli.terminal import duration
from benchmark.runner.events import JobsCounted

_BAR_CHARACTERS = 12
_REDRAWS_PER_SECOND = 4
_ENOUGH_SECONDS = 1.0
"""After which a job has run long enough to tell how long it will take."""


@dataclass(frozen=True)
class _Line:
    """A device with its job, or work that belongs to no device."""

    device: str
    work: str = ""
    progress: str = ""
    rate: str = ""
    share: float | None = None
    begun: tuple[float, float] | None = None
    """When the first progress came, in seconds, and the share that was done by then."""


class LiveTable:
    """One line for each device and for each piece of work in this process, redrawn while lines are printed above."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Show nothing yet. `clock`: seconds."""
        self.counts = JobsCounted(0, 0, 0)
        self.seconds_left: float | None = None
        """Of the whole run."""
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        """By device, or by the name of the work."""
        self._devices: dict[str, str] = {}
        """Device of each row that has a job."""
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=True,
        )

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Remove the table from the terminal."""
        self._live.stop()

    def start_job(self, device: str, row: str, work: str) -> None:
        """Show that a device has begun a job of a row."""
        self._devices[row] = device
        self._lines[device] = _Line(device, f"{row} {work}")

    def end_job(self, device: str, row: str) -> None:
        """Show that a device has no job."""
        self._devices.pop(row, None)
        self._lines[device] = _Line(device)

    def update(self, name: str, share: float, progress: str, rate: str = "") -> None:
        """Show how far the job of a row, or another piece of work, is.

        Args:
            name: Of the row or the work.
            share: What is done of it.
            progress: The same in words.
            rate: How fast it goes, in words.
        """
        key = self._devices.get(name, name)
        if key == name and share >= 1:
            self.end(name)
            return
        line = self._lines.get(key, _Line("", name))
        begun = (self._clock(), share) if line.begun is None or line.begun[1] > share else line.begun
        self._lines[key] = replace(line, share=share, progress=progress, rate=rate, begun=begun)

    def end(self, name: str) -> None:
        """Remove a piece of work that belongs to no device."""
        if name in self._lines and not self._lines[name].device:
            del self._lines[name]

    @property
    def device_count(self) -> int:
        """How many devices have had a job."""
        return sum(bool(line.device) for line in self._lines.values())

    def device_of(self, row: str) -> str | None:
        """Return the device that has a job of a row."""
        return self._devices.get(row)

    def render(self) -> RenderableType:
        """Return the table as it is now."""
        table = Table(box=None, pad_edge=False)
        for name in ("device", "job", "", "progress", "rate", "left"):
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for line in self._lines.values():
            bar = ProgressBar(1.0, line.share, width=_BAR_CHARACTERS) if line.share is not None else Text("")
            work = Text(line.work or "idle", "" if line.work else "dim")
            table.add_row(Text(line.device), work, bar, Text(line.progress), Text(line.rate), Text(self._left(line)))
        return Group(table, Text(self._summary())) if self._lines else Text("")

    def _left(self, line: _Line) -> str:
        if line.share is None or line.begun is None:
            return ""
        begin, share = line.begun
        spent, done = self._clock() - begin, line.share - share
        return duration(spent * (1 - line.share) / done) if done > 0 and spent > _ENOUGH_SECONDS else ""

    def _summary(self) -> str:
        counts = self.counts
        total = counts.waiting + counts.running + counts.ended
        jobs = [f"{counts.ended} of {total} jobs ended, {counts.running} running"] if total else []
        left = [f"{duration(self.seconds_left)} left in all"] if self.seconds_left is not None else []
        return ", ".join([*jobs, *left])
