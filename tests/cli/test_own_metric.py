"""A metric of one's own in a run: from the plugin to the record."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli


def call(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_shows_it(own_metric: Path) -> None:
    """With formula, unit and direction, after the built-in metrics."""
    lines = call("list", "metrics", "--plugin", own_metric).splitlines()
    assert lines[-3:] == ["largest_error", "  formula: max |restored - target|", "  levels; lower is better"]
    assert lines[0] == "psnr"


def test_list_says_what_a_metric_needs_that_must_be_named() -> None:
    """Those of every row need no name; the others say so, with the smallest image and what they read."""
    lines = call("list", "metrics", "psnr", "ssim_y", "ciede2000_skin").splitlines()
    assert "  dB; higher is better" in lines
    assert "  no unit; higher is better; from 19 px a side; needs target; scored where an experiment names it" in lines
    assert "  ΔE00; lower is better; needs target and skin; scored where an experiment names it" in lines


@pytest.mark.slow
def test_a_run_scores_it_and_ranks_by_it(edited: Callable[[str, str], Path], own_metric: Path, tmp_path: Path) -> None:
    """Every row has its mean and its facts; rows that were scored without it are scored again, not trained again."""
    file, output = edited("seeds: [0]", "seeds: [0]\nreport: {primary: psnr}"), tmp_path / "runs/small"
    call("run", file, "--output", output)
    before = json.loads((output / "base/seed0/record.json").read_text())
    assert "largest_error" not in before["scores"]["test"]
    primary = ("--set", "report.primary=largest_error")
    call("run", file, "--output", output, "--plugin", own_metric, "--replace", *primary)
    for row in ("base/seed0", "heads.direct_rgb/seed0", "identity", "affine"):
        record = json.loads((output / row / "record.json").read_text())
        score = record["scores"]["test"]["largest_error"]
        assert 0 < score["mean"] <= 255
        assert record["metrics"] == {
            "largest_error": {
                "unit": "levels",
                "direction": "lower",
                "meaning": "max |restored - target|",
                "decimals": 4,
            }
        }
    after = json.loads((output / "base/seed0/record.json").read_text())
    assert after["scores"]["test"]["psnr"] == before["scores"]["test"]["psnr"]
    assert [stage["key"] for stage in after["stages"]] == [stage["key"] for stage in before["stages"]]
    assert all(stage["reused"] and "largest_error" in stage["val"] for stage in after["stages"])
