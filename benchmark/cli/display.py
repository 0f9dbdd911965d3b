"""Progress of a run: a live table in a terminal, plain lines elsewhere, and scalars for TensorBoard."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from benchmark.cli.live_table import LiveTable
from benchmark.cli.terminal import PLAIN_SECONDS, duration
from benchmark.errors import BenchmarkError, counted, missing_packages
from benchmark.runner.events import (
    DataReady,
    Event,
    GatesChecked,
    ImageScored,
    JobEnded,
    JobRetried,
    JobsCounted,
    JobStarted,
    NetworkMeasured,
    RowAwaited,
    RowFinished,
    RowStarted,
    StageAwaited,
    StageDamaged,
    StageFinished,
    StageProgress,
    StagePruned,
    StageReused,
    StageValidated,
)
from benchmark.runner.stage import scalars
from benchmark.runner.stage_store import StageResult
from reports.schema import Record


class TimeLeft:
    """Seconds left: the estimate made before training, corrected by the real speed of the stages so far."""

    def __init__(self, estimates: Mapping[str, float], clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin with nothing done. `estimates`: seconds of stages by key; `clock`: seconds."""
        self._estimates = estimates
        self._shares = dict.fromkeys(estimates, 0.0)
        self._clock = clock
        self._started = 0.0

    def update(self, key: str, share: float) -> None:
        """Note that `share` of the stage `key` is done."""
        if not self._started:  # the time before the first steps belongs to no stage
            self._started = self._clock()
        self._shares[key] = share

    def seconds(self) -> float | None:
        """Return the seconds left; None while too little is done to tell."""
        done = sum(self._estimates.get(key, 0.0) * share for key, share in self._shares.items())
        left = sum(self._estimates.values()) - done
        spent = self._clock() - self._started
        return left * spent / done if done > 0 and spent > 1.0 else None


class Display:
    """Shows events as they come. A context manager: its table disappears when the run ends, however it ends."""

    def __init__(
        self, estimates: Mapping[str, float], stream: TextIO | None = None, scalars_folder: Path | None = None
    ) -> None:
        """Show nothing yet.

        Args:
            estimates: seconds of stages by key, for the time left.
            stream: where to write; None: stderr.
            scalars_folder: where to write the numbers of training for TensorBoard; None: nowhere.

        Raises:
            BenchmarkError: `scalars_folder` is given, and TensorBoard is not installed.
        """
        self._scalars_folder, self._writers = scalars_folder, dict[str, Any]()
        if scalars_folder and (missing := missing_packages(["tensorboard"], "tensorboard")):
            raise BenchmarkError(f"--tensorboard: {missing}; or leave it out: curve.csv has the same numbers")
        self._left = TimeLeft(estimates)
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._table = LiveTable(self._console)
        self._line_at: dict[str, float] = {}
        self.steps_trained = 0
        """Steps of the stages that this command finished, without those that an earlier one had trained of them."""

    def __enter__(self) -> "Display":
        """Start the table and return the display."""
        if self._console.is_terminal:
            self._table.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the table and close the files of TensorBoard."""
        for writer in self._writers.values():
            writer.close()
        if self._console.is_terminal:
            self._table.stop()

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case JobStarted():
                self._table.start_job(event.device, event.folder, event.work)
            case JobEnded():
                self._table.end_job(event.device, event.folder)
            case JobsCounted():
                self._table.counts = event
            case DataReady() | NetworkMeasured() | ImageScored() | StageProgress():
                self._show_progress(event)
            case StageValidated() | StagePruned():  # `search` has a line for each trial
                pass
            case _:
                row = event.folder
                self._print(row, "\n".join(f"{row}: {part}" for part in _line(event).splitlines()))
                if isinstance(event, RowFinished | StageFinished):
                    self._table.end(row)
                if isinstance(event, StageFinished):
                    self.steps_trained += event.steps

    def end(self, row: str, line: str) -> None:
        """Show the outcome of a row in the caller's own line."""
        self._table.end(row)
        self._print(row, line)

    def _show_progress(self, event: DataReady | NetworkMeasured | ImageScored | StageProgress) -> None:
        """Show how far a piece of work is: in the table, or every few seconds in a line."""
        progress = _progress_of(event)
        if isinstance(event, StageProgress):
            self._left.update(event.key, progress.share)
            self._table.seconds_left = self._left.seconds()
            self._write_scalars(event)
        self._table.update(progress.name, progress.share, progress.done, progress.rate)
        is_due = time.perf_counter() - self._line_at.get(progress.name, 0.0) > PLAIN_SECONDS
        if is_due and not self._console.is_terminal:
            left = self._table.seconds_left if isinstance(event, StageProgress) else None
            device = self._table.device_of(progress.name) if self._table.device_count > 1 else None
            done = f"{progress.stage} {progress.done}".lstrip()
            details = [done, progress.rate, f"on {device}" if device else ""]
            details.append("" if left is None else f"{duration(left)} left in all")
            self._print(progress.name, f"{progress.name}: {', '.join(filter(None, details))}")

    def _write_scalars(self, event: StageProgress) -> None:
        if self._scalars_folder is None:
            return
        from torch.utils.tensorboard.writer import SummaryWriter

        if event.folder not in self._writers:
            self._writers[event.folder] = SummaryWriter(str(self._scalars_folder / event.folder), flush_secs=10)
        for name, value in scalars(event.progress).items():
            if math.isfinite(value):
                self._writers[event.folder].add_scalar(f"{event.progress.stage}/{name}", value, event.progress.step)

    def _print(self, row: str, line: str) -> None:
        self._line_at[row] = time.perf_counter()
        self._console.print(line, markup=False)


@dataclass(frozen=True)
class _Progress:
    """How far a piece of work is: its name, the share that is done, the same in words, rate and stage in words."""

    name: str
    share: float
    done: str
    rate: str = ""
    stage: str = ""


def _progress_of(event: DataReady | NetworkMeasured | ImageScored | StageProgress) -> _Progress:
    match event:
        case DataReady():
            return _Progress(f"{event.split} data", event.done / event.total, f"image {event.done}/{event.total}")
        case NetworkMeasured():
            return _Progress("gates", event.done / event.total, f"network {event.done}/{event.total} measured")
        case ImageScored():
            return _Progress(event.folder, event.done / event.total, f"image {event.done}/{event.total}")
        case StageProgress(progress=p):
            done, rate = f"step {p.step}/{p.steps}, loss {p.loss:.4g}", f"{p.images_per_second:.0f} images/s"
            return _Progress(event.folder, p.step / p.steps, done, rate, p.stage)


def _line(
    event: StageReused
    | StageAwaited
    | StageDamaged
    | StageFinished
    | RowStarted
    | RowAwaited
    | GatesChecked
    | RowFinished
    | JobRetried,
) -> str:
    match event:
        case StageReused(result=result):
            return f"stage {result.name} from the store ({counted(result.steps, 'step')} not trained again)"
        case StageAwaited(name=name, owner=owner):
            return f"stage {name} is being trained by {owner}; waiting for it"
        case RowAwaited(owner=owner):
            return f"is being tested by {owner}, in the same folder; waiting for it"
        case StageDamaged(name=name, file=file):
            return f"stage {name}: {file} is not what was stored; it is set aside in .damaged, and trained again"
        case StageFinished(result=result):
            return _finished_stage(result)
        case RowStarted():
            return "started"
        case JobRetried(reason=reason):
            return f"{reason}; its job is tried again"
        case GatesChecked():
            return "\n".join(f"gate {line}" for line in event.lines)
        case RowFinished(record=record):
            return f"{'test' if record.status == 'done' else record.status.upper()} {event.message}"


def _finished_stage(result: StageResult) -> str:
    """Return steps and time of a stage, and a warning where its weights are worse than doing nothing."""
    psnr, identity = result.val.get("psnr"), result.identity_psnr
    skipped = f" ({result.skipped_steps} skipped: not finite)" if result.skipped_steps else ""
    line = f"stage {result.name} done, {counted(result.steps, 'step')}{skipped} in {duration(result.seconds)}"
    if psnr is None:
        return line
    harm = identity is not None and psnr["mean"] < identity
    warning = f"; worse than doing nothing ({identity:.2f} dB)" if harm else ""
    return f"{line}, val psnr {psnr['mean']:.2f} dB{warning}"


def failure_lines(records: Sequence[Record], damage: Sequence[str] = ()) -> str:
    """Return a line for each failed record and each damaged file."""
    failed = [
        f"failed: {record.row}{'' if record.seed is None else f' seed {record.seed}'}: {record.reason}"
        for record in records
        if record.status == "failed"
    ]
    return "".join(f"{line}\n" for line in (*failed, *(f"damaged: {line}" for line in damage)))
