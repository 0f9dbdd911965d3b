"""What a user sees of a run that is going on."""

import io

import pytest

from benchmark.cli.display import Display, TimeLeft, duration
from benchmark.execution.events import RowFinished, RowStarted, StageProgress
from benchmark.training.fit import Progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (18720, "5 h 12 min"), (1051200, "12 days 4 h")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Two units, whole numbers."""
    assert duration(seconds) == text


def test_time_left_follows_the_real_speed() -> None:
    """Half of the work done in twice the estimated time leaves twice the estimate of the other half."""
    now = [0.0]
    left = TimeLeft({"a": 10.0, "b": 10.0}, clock=lambda: now[0])
    now[0] = 10.0
    assert left.seconds("a", 0.5) == pytest.approx(30.0)
    left.finish("a")
    now[0] = 20.0
    assert left.seconds("b", 0.0) == pytest.approx(20.0)


def test_plain_lines_name_row_stage_step_loss_speed_and_time_left() -> None:
    """Where there is no terminal, progress comes as lines that can be read in a log."""
    stream = io.StringIO()
    progress = Progress("coarse", 10, 40, 1e-3, 0.0123, {}, 87.6)
    with Display({"k": 8.0}, stream) as display:
        display.show(RowStarted("base/seed0"))
        display._last_line_at = -100.0
        display.show(StageProgress("k", progress))
        display.show(RowFinished("base/seed0", "failed", "stage 'coarse', step 12: the loss is nan"))
    text = stream.getvalue()
    assert "base/seed0  coarse step 10/40, loss 0.0123, 88 images/s, " in text
    assert " left" in text
    assert "FAILED: stage 'coarse', step 12: the loss is nan" in text
