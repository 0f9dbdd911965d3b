"""Rungs as a user meets them: all rows with few steps, a report, then more steps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.files import read_json

SCALES = "seeds: [0, 1]\nreport: {{equivalence_margin: 0}}\nscales: [{{steps: 1/2, lr: 1.5}}, {{}}]\npromote: {}\n"


def call(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow  # what each rung trains: test_plan_shows_what_each_rung_trains
def test_every_rung_is_a_run_with_a_report(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """The base row comes first, the last rung is the experiment as written, and nothing is trained twice."""
    file, output = edited("seeds: [0]\n", SCALES.format("all")), tmp_path / "runs/small"
    small = output.with_name("small.steps_1_2")
    text = call("run", file, "--output", output)
    assert text.index("rung 1 of 2: 3 rows with 1/2 of the steps") < text.index("rung 2 of 2: 3 rows with 1 of the")
    assert text.count("report: ") == 4  # of each rung one when the base row is there, and one at its end
    record = read_json(small / "base/seed0/record.json")
    assert [stage["steps"] for stage in record["stages"]] == [2, 2]
    assert record["config"]["protocol"]["coarse"]["lr"] == 1.5e-3
    assert [rung["folder"] for rung in read_json(output / "rungs.json")["rungs"]] == [small.name, output.name]
    assert "1/2 of the steps" in (output / "report/report.md").read_text()
    assert "Rungs" not in (small / "report/report.md").read_text()

    without = tmp_path / "without.yaml"
    without.write_text(file.read_text().replace("scales:", "#").replace("promote:", "#"))
    assert "0 steps to train" in call("run", without, "--output", output)
    again = call("run", file, "--output", output)
    assert again.count("0 steps to train") == 2 and "step trained" not in again.replace("0 steps trained", "")


@pytest.mark.slow  # which rows go on: tests/search/test_promotion.py
def test_rows_that_are_beaten_stay_behind(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """By their scores on val alone; their records stay where they are, and the next rung does not plan them."""
    file, output = edited("seeds: [0]\n", SCALES.format("front")), tmp_path / "runs/small"
    file.write_text(file.read_text() + "    useless: {protocol.coarse.lr: 1e-9, protocol.psnr.lr: 1e-9}\n")
    text = call("run", file, "--output", output)
    behind = next(line for line in text.splitlines() if "stay behind: on val others beat them" in line)
    assert "stages.useless" in behind and "base" not in behind
    assert (output.with_name("small.steps_1_2") / "stages.useless/seed1/record.json").exists()
    assert not (output / "stages.useless").exists()
    assert "stages.useless/seed0" not in json.loads((output / "plan.json").read_text())["chosen"]


def test_plan_shows_what_each_rung_trains(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """With its steps and its folder."""
    text = call("plan", edited("seeds: [0]\n", SCALES.format("all")), "--output", tmp_path / "runs/small")
    assert "rung 1/2: 16 steps to train" in text and "small.steps_1_2" in text


def test_plan_says_whether_all_rungs_fit_the_hours(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Tuning, on the first rung that the file names, counts, too."""
    candidates = "tuning: {candidates: {low: {protocol.coarse.lr: 1e-4}, high: {protocol.coarse.lr: 1e-2}}}\n"
    file = edited("seeds: [0]\n", f"hours: 1\n{candidates}{SCALES.format('all')}")
    arguments = ["plan", file, "--output", tmp_path / "runs/small"]
    text = call(*arguments)
    assert text.count("tuning on rung 1/2: ") == 1 and "tuning on rung 1:" not in text
    assert "fits into the 1 h 0 min" in text
    assert "does not fit into the 0 s" in call(*arguments, "--set", "hours=1e-9")
