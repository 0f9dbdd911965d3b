"""What a user sees of a run that is going on."""

import io

import pytest

from benchmark.cli.display import Display, TimeLeft
from benchmark.cli.terminal import duration
from benchmark.runner.events import GatesChecked, RowFinished, RowStarted, StageProgress
from benchmark.training.loop import Progress
from reports.schema import Record


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (18720, "5 h 12 min"), (1051200, "12 days 4 h")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Two units, whole numbers."""
    assert duration(seconds) == text


def test_time_left_follows_the_real_speed() -> None:
    """Half of the work done in twice the estimated time leaves twice the estimate of the other half."""
    now = [100.0]
    left = TimeLeft({"a": 10.0, "b": 10.0}, clock=lambda: now[0])
    left.update("a", 0.0)
    assert left.seconds() is None
    now[0] += 10.0
    left.update("a", 0.5)
    assert left.seconds() == pytest.approx(30.0)
    now[0] += 10.0
    left.update("a", 1.0)
    left.update("b", 0.5)
    assert left.seconds() == pytest.approx(20.0 / 15.0 * 5.0)


def record(status: str) -> Record:
    return Record(
        experiment="e", row="base", tables=(), seed=0, status=status, config={}, config_hash="hash", provenance={}
    )


def test_plain_lines_name_row_stage_step_loss_and_speed() -> None:
    """Where there is no terminal, progress comes as lines that can be read in a log, each with its row."""
    stream = io.StringIO()
    with Display({"k": 8.0}, stream) as display:
        display.show(RowStarted("base/seed0"))
        display._line_at.clear()
        display.show(StageProgress("base/seed0", "k", Progress("coarse", 10, 40, 1e-3, 0.0123, {}, 0.5, 87.6, 0)))
        display.show(GatesChecked("base/seed0", ("size: passed", "macs: failed")))
        display.show(RowFinished("base/seed0", record("failed"), "stage 'coarse', step 12: the loss is nan"))
        display.show(RowFinished("nafnet/seed0", record("done"), "psnr 33.1"))
    assert stream.getvalue().splitlines() == [
        "base/seed0: started",
        "base/seed0: coarse step 10/40, loss 0.0123, 88 images/s",
        "base/seed0: gate size: passed",
        "base/seed0: gate macs: failed",
        "base/seed0: FAILED stage 'coarse', step 12: the loss is nan",
        "nafnet/seed0: test psnr 33.1",
    ]
