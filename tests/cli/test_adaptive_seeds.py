"""Interim analyses, budgets and published rows as a user meets them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.files import read_json

ADAPTIVE = "seeds: {first: 5, most: 7, interim: [5, 6, 7], exponent: 0.5}\nreport: {equivalence_margin: 50}\n"


def call(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def test_plan_shows_what_is_trained_at_least_and_at_most(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """With the share of the error rate that each analysis spends; rows have the seeds up to the first."""
    text = call("plan", edited("seeds: [0]\n", ADAPTIVE), "--output", tmp_path / "runs/small")
    assert "interim analyses after 5 (84.5 %), 6 (8.07 %), 7 (7.42 %) seeds" in text
    assert "at least: 15 records, " in text and "at most: 21 records, " in text
    assert text.count("to run") == 15 + 3  # rows up to the first analysis, and the baselines


def test_an_edited_stop_is_not_believed(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """The plan is written anew, and its rows go on as the records decide."""
    file, plan = edited("seeds: [0]\n", ADAPTIVE), tmp_path / "runs/small/plan.json"
    arguments = ("plan", file, "--write", "--output", plan.parent)
    call(*arguments)
    before = plan.read_text()
    plan.write_text(before.replace('"stopped_at": null', '"stopped_at": 5'))
    assert plan.read_text() != before
    assert "stopped, resolved" not in call(*arguments)
    assert plan.read_text() == before


def test_seeds_cannot_be_chosen_beside_analyses(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Which come next is decided by the records."""
    file = edited("seeds: [0]\n", ADAPTIVE)
    done = CliRunner().invoke(cli, ["plan", str(file), "--seeds", "0", "--output", str(tmp_path / "run")])
    assert done.exception is not None and "leave --seeds out" in str(done.exception)


@pytest.mark.slow  # which rows stop: tests/search/test_interim.py; what is planned: the tests above
def test_rows_stop_at_an_analysis_and_others_take_the_run_up(
    edited: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Within a margin of 50 dB all rows are equivalent, so that none needs a sixth seed; a study does the rest."""
    file, output = edited("seeds: [0]\n", ADAPTIVE), tmp_path / "runs/small"
    text = call("run", file, "--output", output)
    assert "interim analysis after 5 seeds: resolved, so they stop: heads.direct_rgb, stages.stage_1" in text
    plan = read_json(output / "plan.json")
    assert plan["interim"] == {"seeds": [5, 6, 7], "exponent": 0.5}
    stops = {row["row"]: row["stopped_at"] for row in plan["rows"]}
    assert (stops["base"], stops["heads.direct_rgb"], stops["stages.stage_1"]) == (None, 5, 5)
    assert read_json(output / "heads.direct_rgb/seed4/record.json")["stopped_at"] == 5
    report = (output / "report/report.md").read_text()
    assert "†" in report and "Interim analyses were planned after 5, 6 and 7 seeds" in report
    assert "0 steps to train" in call("run", file, "--output", output)

    study, other = tmp_path / "study", tmp_path / "others/small"
    call("publish", output, "--out", study)
    text = call("run", file, "--output", other, "--study", study)
    assert "15 records of" in text and "0 steps trained" in text
    record = read_json(other / "base/seed0/record.json")
    assert record["published_in"] == "study" and not (other / "base/seed0/weights.safetensors").exists()
    done = CliRunner().invoke(
        cli, ["export", str(other / "base/seed0"), "--format", "onnx", "--out", str(tmp_path / "x.onnx")]
    )
    assert "published study 'study', which has scores but no weights" in str(done.exception)


@pytest.mark.slow  # the order and the end of a budget: tests/search/test_budget.py
def test_a_budget_ends_at_a_finished_row(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """With nothing to spend no row starts; the same command without a budget goes on."""
    file, output = edited("seeds: [0]\n", "seeds: [0, 1]\n"), tmp_path / "runs/small"
    text = call("run", file, "--output", output, "--budget", "0.001s")
    assert "too little for any of 6 records to be made" in text and (output / "report/index.html").exists()
    text = call("plan", file, "--output", output, "--budget", "1h")
    assert "budget of 1 h 0 min: 2 rows with all seeds" in text and "no records yet" in text
    text = call("run", file, "--output", output, "--budget", "1h")
    assert "too little" not in text and (output / "stages.stage_1/seed1/record.json").exists()
