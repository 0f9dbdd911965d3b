"""What training reports, as scalars for TensorBoard, on the way through."""

import math
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:  # torch comes in only when the command runs
    from torch.utils.tensorboard.writer import SummaryWriter

    from benchmark.runner.progress_events import Event
    from benchmark.training.loop import Progress

Result = TypeVar("Result")


def with_scalars(events: "Generator[Event, None, Result]", folder: Path) -> "Generator[Event, None, Result]":
    """The same events; progress of stages is also written below `folder`, in one folder for each row and seed.

    Raises BenchmarkError where TensorBoard is not installed.
    """
    from benchmark.runner.progress_events import StageProgress

    writer = _writer_class()
    writers: dict[str, SummaryWriter] = {}
    try:
        while True:
            event = next(events)
            if isinstance(event, StageProgress):
                if event.folder not in writers:
                    writers[event.folder] = writer(str(folder / event.folder), flush_secs=10)
                _write(writers[event.folder], event.progress)
            yield event
    except StopIteration as done:
        return done.value
    finally:
        for open_writer in writers.values():
            open_writer.close()


def _writer_class() -> "type[SummaryWriter]":
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        raise BenchmarkError(
            "--tensorboard: TensorBoard is not installed; install restoration-benchmark[tensorboard], or leave the "
            "option out: curve.csv has the same numbers"
        ) from None
    return SummaryWriter


def _write(writer: "SummaryWriter", progress: "Progress") -> None:
    parts = {f"loss.{name}": value for name, value in progress.parts.items()}
    scalars = {
        "lr": progress.lr,
        "loss": progress.loss,
        **parts,
        "gradient_norm": progress.gradient_norm,
        "images_per_second": progress.images_per_second,
    }
    for name, value in scalars.items():
        if math.isfinite(value):
            writer.add_scalar(f"{progress.stage}/{name}", value, progress.step)
