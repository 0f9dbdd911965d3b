"""Progress of a run: bars in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from benchmark.runner.progress_events import (
    DataReady,
    Event,
    GatesChecked,
    ImageScored,
    NetworkMeasured,
    RowFinished,
    RowSkipped,
    RowStarted,
    StageAwaited,
    StageFinished,
    StageProgress,
    StageReused,
)
from benchmark.runner.stage_store import StageResult

_PLAIN_SECONDS = 5.0
"""Plain progress lines come at most this often; what starts or ends a row or a stage comes at once."""


class TimeLeft:
    """Seconds left: the estimate made before training, corrected by how fast the stages so far really were."""

    def __init__(self, estimates: Mapping[str, float], clock: Callable[[], float] = time.perf_counter) -> None:
        self._estimates = estimates
        self._shares = dict.fromkeys(estimates, 0.0)
        self._clock = clock
        self._started = 0.0

    def update(self, key: str, share: float) -> None:
        """`share` of the stage `key` is done."""
        if not self._started:  # the time until the first steps are done belongs to no stage
            self._started = self._clock()
        self._shares[key] = share

    def seconds(self) -> float | None:
        """None before enough is done to tell."""
        done = sum(self._estimates.get(key, 0.0) * share for key, share in self._shares.items())
        left = sum(self._estimates.values()) - done
        spent = self._clock() - self._started
        return left * spent / done if done > 0 and spent > 1.0 else None


class Display:
    """Shows events as they come. A context manager: the bars go when the run ends, however it ends."""

    def __init__(self, estimates: Mapping[str, float], stream: TextIO | None = None) -> None:
        self._left = TimeLeft(estimates)
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), console=self._console, transient=True
        )
        self._tasks: dict[str, TaskID] = {}
        self._line_at: dict[str, float] = {}

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def show(self, event: Event) -> None:
        row, share, line = _row(event), _share(event), _line(event)
        if isinstance(event, StageProgress):
            self._left.update(event.key, share or 0.0)
            left = self._left.seconds()
            line += "" if left is None else f", {duration(left)} left in all"
        if share is not None:
            self._progress(row, f"{row}: {line}", share)
        elif line:
            self._print(row, "\n".join(f"{row}: {part}" for part in line.splitlines()))
        if isinstance(event, RowFinished | StageFinished):
            self._end_bar(row)

    def end(self, row: str, line: str) -> None:
        """Show what came of a row, in a line of the caller's."""
        self._end_bar(row)
        self._print(row, line)

    def _end_bar(self, row: str) -> None:
        if row in self._tasks:
            self._bars.remove_task(self._tasks.pop(row))

    def _progress(self, row: str, line: str, share: float) -> None:
        if self._console.is_terminal:
            if row not in self._tasks:
                self._tasks[row] = self._bars.add_task("", total=1.0)
            self._bars.update(self._tasks[row], description=line, completed=share)
        elif time.perf_counter() - self._line_at.get(row, 0.0) > _PLAIN_SECONDS:
            self._print(row, line)

    def _print(self, row: str, line: str) -> None:
        self._line_at[row] = time.perf_counter()
        self._console.print(line, markup=False)


def _row(event: Event) -> str:
    match event:
        case DataReady():
            return f"{event.split} data"
        case NetworkMeasured():
            return "gates"
        case _:
            return event.folder


def _share(event: Event) -> float | None:
    """How much is done of what an event reports on; None for events that are told once."""
    match event:
        case StageProgress(progress=progress):
            return progress.step / progress.steps
        case DataReady() | ImageScored() | NetworkMeasured():
            return event.done / event.total
        case _:
            return None


def _line(event: Event) -> str:
    match event:
        case DataReady() | ImageScored():
            return f"image {event.done}/{event.total}"
        case NetworkMeasured():
            return f"network {event.done}/{event.total} measured"
        case StageProgress(progress=p):
            return f"{p.stage} step {p.step}/{p.steps}, loss {p.loss:.4g}, {p.images_per_second:.0f} images/s"
        case StageReused(result=result):
            return f"stage {result.name} from the store ({result.steps} steps not trained again)"
        case StageAwaited(name=name):
            return f"stage {name} is being trained by another process; waiting for it"
        case StageFinished(result=result):
            psnr = f", val psnr {result.val['psnr']['mean']:.2f} dB" if "psnr" in result.val else ""
            skipped = f" ({result.skipped_steps} skipped: not finite)" if result.skipped_steps else ""
            took = f"{result.steps} steps{skipped} in {duration(result.seconds)}"
            return f"stage {result.name} done, {took}{psnr}{_harm(result)}"
        case _:
            return _row_line(event)


def _harm(result: StageResult) -> str:
    """A warning where the weights are worse than doing nothing."""
    reached, untouched = result.val.get("psnr"), result.identity_psnr
    if reached is None or untouched is None or reached["mean"] >= untouched:
        return ""
    return f"; worse than doing nothing ({untouched:.2f} dB)"


def _row_line(event: RowStarted | RowSkipped | GatesChecked | RowFinished) -> str:
    match event:
        case RowStarted():
            return "started"
        case RowSkipped():
            return "finished before"
        case GatesChecked():
            return "\n".join(f"gate {line}" for line in event.lines)
        case RowFinished(record=record):
            return f"test {event.message}" if record.status == "done" else f"{record.status.upper()} {event.message}"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `5 h 12 min`, `12 days 4 h`."""
    whole = max(0, round(seconds))
    for name, size, below, below_size in (("days", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below_size} {below}"
    return f"{whole} s"
