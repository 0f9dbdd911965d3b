"""Progress of a run: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from benchmark.execution.estimate import remaining_seconds
from benchmark.execution.events import (
    DataReady,
    Event,
    GatesChecked,
    ImageScored,
    RowFinished,
    RowSkipped,
    RowStarted,
    StageFinished,
    StageProgress,
    StageReused,
)

_PLAIN_SECONDS = 5.0
"""Plain progress lines come at most this often; what starts or ends a row or a stage comes at once."""


class TimeLeft:
    """Seconds left: the estimate made before training, corrected by how fast the stages so far really were."""

    def __init__(self, estimates: Mapping[str, float], clock: Callable[[], float] = time.perf_counter) -> None:
        self._estimates = estimates
        self._finished: set[str] = set()
        self._clock = clock
        self._started = clock()

    def finish(self, key: str) -> None:
        self._finished.add(key)

    def seconds(self, key: str, share: float) -> float:
        """While `share` of the stage `key` is done."""
        total = sum(self._estimates.values())
        left = remaining_seconds(self._estimates, self._finished, key, share)
        done = total - left
        slower = (self._clock() - self._started) / done if done > 0 else 1.0
        return left * slower


class Display:
    """Shows events as they come. A context manager: the bar goes when the run ends, however it ends."""

    def __init__(self, estimates: Mapping[str, float], stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._left = TimeLeft(estimates)
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), console=self._console, transient=True
        )
        self._task = self._bar.add_task("", total=None)
        self._row = ""
        self._last_line_at = 0.0

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, RowStarted):
            self._row = event.folder
        if isinstance(event, StageFinished):
            self._left.finish(event.result.key)
        share = _share(event)
        if share is None:
            self._print(_line(event))
        else:
            self._progress(f"{self._row or 'data'}  {self._progress_line(event)}", share)

    def _progress_line(self, event: Event) -> str:
        if not isinstance(event, StageProgress):
            return _line(event)
        progress = event.progress
        left = self._left.seconds(event.key, progress.step / progress.steps)
        return f"{_line(event)}, {duration(left)} left"

    def _progress(self, line: str, share: float) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, description=line, total=1.0, completed=share)
        elif time.perf_counter() - self._last_line_at > _PLAIN_SECONDS:
            self._print(line)

    def _print(self, line: str) -> None:
        if line:
            self._last_line_at = time.perf_counter()
            self._console.print(line, markup=False)


def _share(event: Event) -> float | None:
    """How much is done of what an event reports on; None for events that are told once."""
    match event:
        case StageProgress(progress=progress):
            return progress.step / progress.steps
        case DataReady() | ImageScored():
            return event.done / event.total
        case _:
            return None


def _line(event: Event) -> str:  # noqa: C901 - one line per event, nothing nested
    match event:
        case DataReady():
            return f"preparing {event.split} images {event.done}/{event.total}"
        case RowStarted():
            return event.folder
        case RowSkipped():
            return f"{event.folder}: finished before, nothing to do"
        case GatesChecked():
            return "\n".join(f"  gate {line}" for line in event.lines)
        case StageReused(result=result):
            return f"  stage {result.name}: from the store ({result.steps} steps not trained again)"
        case StageFinished(result=result):
            psnr = f", val psnr {result.val['psnr']['mean']:.2f} dB" if "psnr" in result.val else ""
            return f"  stage {result.name}: {result.steps} steps in {duration(result.seconds)}{psnr}"
        case StageProgress(progress=p):
            return f"{p.stage} step {p.step}/{p.steps}, loss {p.loss:.4g}, {p.images_per_second:.0f} images/s"
        case ImageScored():
            return f"testing image {event.done}/{event.total}"
        case RowFinished(status="done"):
            return f"  test: {event.message}"
        case RowFinished():
            return f"  {event.status.upper()}: {event.message}"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `5 h 12 min`, `12 days 4 h`."""
    whole = max(0, round(seconds))
    for name, size, below, below_size in (
        ("days", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below_size} {below}"
    return f"{whole} s"
