"""The table of a run in a terminal: what each device does, how fast, and how long it will take."""

import io

import pytest
from rich.console import Console

from benchmark.cli.display import Display
from benchmark.cli.live_table import LiveTable
from benchmark.runner.events import DataReady, JobEnded, JobRetried, JobsCounted, JobStarted, RowStarted, StageProgress
from benchmark.training.loop import Progress


class Terminal(io.StringIO):
    """A terminal that keeps what was written to it."""

    def isatty(self) -> bool:
        return True


def shown(table: LiveTable) -> list[str]:
    """Return the lines of the table as it is now, without their bars."""
    stream = io.StringIO()
    Console(file=stream, width=120).print(table.render())
    return [" ".join(line.replace("━", "").replace("╸", "").split()) for line in stream.getvalue().splitlines()]


def test_each_device_has_a_line_with_its_job_rate_and_time_left() -> None:
    """The rest takes as long a step as the steps since the first report; a device without a job is idle."""
    now = [0.0]
    table = LiveTable(Console(file=io.StringIO()), clock=lambda: now[0])
    table.start_job("cuda:0", "base/seed0", "coarse")
    table.start_job("cuda:1", "heads.rgb/seed0", "coarse")
    table.update("base/seed0", 0.1, "step 10/100", "80 images/s")
    now[0] = 60.0
    table.update("base/seed0", 0.4, "step 40/100", "81 images/s")
    table.end_job("cuda:1", "heads.rgb/seed0")
    table.counts, table.seconds_left = JobsCounted(waiting=5, running=1, ended=4), 3600.0
    assert shown(table) == [
        "device job progress rate left",
        "cuda:0 base/seed0 coarse step 40/100 81 images/s 2 min 0 s",
        "cuda:1 idle",
        "4 of 10 jobs ended, 1 running, 1 h 0 min left in all",
    ]


def test_a_device_that_begins_another_job_shows_nothing_of_the_last_one() -> None:
    """Also where it was not reported as ended."""
    table = LiveTable(Console(file=io.StringIO()))
    table.start_job("cpu 1", "base/seed0", "coarse")
    table.update("base/seed0", 0.5, "step 50/100", "9 images/s")
    table.start_job("cpu 1", "base/seed0", "test")
    assert shown(table)[1] == "cpu 1 base/seed0 test"


def test_work_of_no_device_has_a_line_until_it_is_done() -> None:
    """Such as the decoding of images, before the first job."""
    table = LiveTable(Console(file=io.StringIO()))
    table.update("train data", 0.5, "image 4/8")
    assert shown(table)[1] == "train data image 4/8"
    table.update("train data", 1.0, "image 8/8")
    assert shown(table) == [""]


def progress(row: str, step: int) -> StageProgress:
    return StageProgress(f"{row}/seed0", row, Progress("coarse", step, 40, 1e-3, 0.0123, {}, 0.5, 87.6, 0))


def test_a_terminal_shows_the_table_and_lines_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress goes into the table alone."""
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    with Display({"base": 8.0}, terminal) as display:
        display.show(DataReady("train", 1, 8))
        display.show(RowStarted("base/seed0"))
        display.show(JobStarted("base/seed0", "coarse", "cuda:0"))
        display.show(progress("base", 10))
        display._table._live.refresh()
        display.show(JobEnded("base/seed0", "cuda:0"))
    text = terminal.getvalue()
    assert "base/seed0: started" in text and "cuda:0" in text and "step 10/40, loss 0.0123" in text
    assert "base/seed0: coarse step" not in text


def test_plain_lines_name_the_device_where_there_are_several() -> None:
    """And say when a job is tried again, and why."""
    stream = io.StringIO()
    with Display({}, stream) as display:
        for row, device in (("base", "cuda:0"), ("rgb", "cuda:1")):
            display.show(JobStarted(f"{row}/seed0", "coarse", device))
        display.show(progress("base", 10))
        display.show(JobEnded("rgb/seed0", "cuda:1"))
        display.show(JobRetried("rgb/seed0", "its process died (exit code -9; killed by SIGKILL)"))
    assert stream.getvalue().splitlines() == [
        "base/seed0: coarse step 10/40, loss 0.0123, 88 images/s, on cuda:0",
        "rgb/seed0: its process died (exit code -9; killed by SIGKILL); its job is tried again",
    ]
