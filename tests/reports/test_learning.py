"""Rows that were trained too short, do harm, or were tuned: what the report says of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import metrics
from reports.pages.run_page import build
from reports.results.load import load
from reports.results.summary import summaries
from reports.tables import training

PSNR = metrics.metric("psnr")


@pytest.fixture
def with_stages(make_run: Callable[..., Path]) -> Callable[..., Path]:
    """Function: late gain and PSNR over identity of every record's last stage -> the run's folder."""

    def write(late_gain: float | None, over_identity: float) -> Path:
        run = make_run()
        for file in run.glob("*/seed*/record.json"):
            record = json.loads(file.read_text())
            for stage in record["stages"]:
                stage["val"]["psnr"] = 30 + over_identity
                stage |= {"late_gain_psnr": late_gain, "identity_psnr": 30.0}
            file.write_text(json.dumps(record))
        return run

    return write


@pytest.mark.parametrize(
    ("late_gain", "over", "margin", "readings"),
    [
        (0.5, 2.0, 0.2, {"still learning"}),
        (0.15, 2.0, 0.2, {""}),
        (0.15, 2.0, 0.0, {"still learning"}),
        (0.0, -0.5, 0.2, {"worse than doing nothing"}),
        (0.5, -0.5, 0.2, {"worse than doing nothing, still learning"}),
        (None, 1.0, 0.2, {""}),
    ],
)
def test_rows_are_read_by_their_last_fifth_and_by_identity(
    with_stages: Callable[..., Path], late_gain: float | None, over: float, margin: float, readings: set[str]
) -> None:
    """A gain beyond what matters is learning that was cut off; less than the degraded images have is harm."""
    rows = list(summaries(load(with_stages(late_gain, over))).values())
    grid = training.learning_table(training.last_stages(rows, PSNR, margin))
    assert grid is not None
    assert {line[4].text for line in grid.lines} == readings
    sentences = " ".join(training.learning_sentences(training.last_stages(rows, PSNR, margin)))
    assert ("Still learning" in sentences) == any("learning" in reading for reading in readings)
    assert ("worse than doing nothing" in sentences) == any("nothing" in reading for reading in readings)


def test_old_records_tell_nothing(make_run: Callable[..., Path]) -> None:
    """Without the fields there is no table and no sentence."""
    page = build(load(make_run()))
    assert not {"learning", "tuning"} & {grid.name for grid in page.grids}
    assert not any("Still learning" in str(block) for block in page.blocks)


TUNING = {
    "schema": 2,
    "metric": "psnr",
    "seed": 0,
    "rows": [
        {"row": "base", "chosen": "middle", "candidates": [{"candidate": "low", "value": 30.0},
         {"candidate": "middle", "value": 31.0}, {"candidate": "high", "value": None}]},
        {"row": "<b>", "chosen": "low", "candidates": [{"candidate": "low", "value": 30.5},
         {"candidate": "middle", "value": 30.0}, {"candidate": "high", "value": 29.0}]},
    ],
}  # fmt: skip


def test_candidates_stand_with_what_they_reached(make_run: Callable[..., Path]) -> None:
    """The chosen one is marked; one that diverged has no number; a best at the edge is pointed out."""
    run = make_run()
    (run / "tuning.json").write_text(json.dumps(TUNING))
    grid = training.tuning_table(load(run))
    assert grid is not None
    assert [[cell.best for cell in line[1:]] for line in grid.lines] == [[False, True, False], [True, False, False]]
    assert grid.lines[0][3].value is None
    assert "The best of <b> is the first or the last candidate" in " ".join(grid.notes)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 2}', '{"schema": 2, "metric": "psnr", "seed": 0, "rows": [3]}']
)
def test_an_odd_tuning_file_is_left_out_and_named(make_run: Callable[..., Path], content: str) -> None:
    """It costs its table, not the report, and a note says why."""
    run = make_run()
    (run / "tuning.json").write_text(content)
    results = load(run)
    assert results.tuning is None and len(results.notes) == 1 and results.notes[0].startswith("tuning.json: ")
