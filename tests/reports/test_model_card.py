"""The model card of an exported row: scores, costs, files and what is not known, from the records of a run."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.pages.model_card import model_card, score_lines, shipped_row
from reports.results.load import load

Run = Callable[..., Path]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that was exported."""
    (tmp_path / "quickstart.safetensors").write_bytes(b"weights")
    return tmp_path / "quickstart.safetensors"


def test_the_best_row_under_the_limits_is_shipped(make_run: Run) -> None:
    """By the mean of the report's metric; one that fails a limit is passed over."""
    run = make_run(offsets={"heads.residual": 2.0, "heads.direct_rgb": 1.0})
    best = shipped_row(load(run))
    assert best is not None and best.row == "heads.residual"
    for file in run.glob("heads.residual/seed*/record.json"):
        record = json.loads(file.read_text())
        record["gates"][0]["result"] = "failed"
        file.write_text(json.dumps(record))
    second = shipped_row(load(run))
    assert second is not None and second.row == "heads.direct_rgb"


def test_nothing_is_shipped_that_does_nothing(make_run: Run) -> None:
    """Where the images as they are score best, there is no such row."""
    assert shipped_row(load(make_run(offsets={"identity": 9.0}))) is None


def test_the_card_says_what_it_does_costs_and_does_not_know(make_run: Run, weights: Path) -> None:
    """Every number is one of the records; hash and size are those of the file; doubts are named."""
    results = load(make_run(offsets={"heads.residual": 2.0}))
    row = shipped_row(results)
    assert row is not None
    card = model_card(results, row, [weights])
    before, after = results_mean(results, "identity"), row.mean("psnr")
    assert f"| PSNR | {before:.2f} dB | {after:.2f} dB | +{after - before:.3f}, better on " in card
    assert f"| quickstart.safetensors | 7 | `{hashlib.sha256(b'weights').hexdigest()}` |" in card
    assert "Means over 4 test images that training did not see" in card and "It was chosen among 3 rows" in card
    assert "4 test images give a rough mean" in card and "at least three seeds tell" in card
    assert "stage coarse | 150 steps" in card and "title = {A {gUNet} paper}" in card
    for gate in row.gates:
        assert f"| {gate.name} | " in card
    assert score_lines(results, row)[0].startswith("PSNR: ")


def results_mean(results, row: str) -> float:
    (record,) = (record for record in results.records if record.row == row)
    return record.scores["test"]["psnr"].mean
