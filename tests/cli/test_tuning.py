"""Tuning as a user meets it: candidates are tried on val, and each row runs with its best."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import RecordError
from benchmark.runner.job_list import JobList
from benchmark.runner.plan_file import read_plan
from benchmark.search.tuning import written_plans

TUNING = """
tuning:
  candidates:
    tiny: {protocol.coarse.lr: 1e-9}
    sane: {protocol.coarse.lr: 1e-3}
    wild: {protocol.coarse.lr: 1e3}
tables:
"""


def call(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def tuned(edited: Callable[[str, str], Path]) -> Path:
    return edited("\ntables:\n", TUNING)


def test_each_row_runs_with_its_best_candidate(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """The one that reached most on val, with the seed of tuning; what its try trained is not trained again."""
    file, output = tuned(edited), tmp_path / "runs/small"
    said = call("run", file, "--output", output)
    told = json.loads((output / "tuning.json").read_text())
    assert {row["row"] for row in told["rows"]} == {"base", "heads.direct_rgb", "stages.stage_1"}
    for row in told["rows"]:
        reached = {one["candidate"]: one["value"] for one in row["candidates"]}
        assert list(reached) == ["tiny", "sane", "wild"]
        assert row["chosen"] != "wild"
        assert reached[row["chosen"]] == max(value for value in reached.values() if value is not None)
        record = json.loads((output / row["row"] / "seed0/record.json").read_text())
        rates = {"tiny": 1e-9, "sane": 1e-3, "wild": 1e3}
        assert record["config"]["protocol"]["coarse"]["lr"] == rates[row["chosen"]]
        assert record["stages"][0]["reused"]
        assert record["scores"].keys() == {"test"}
        tried = json.loads((output / f"tuning/{row['row']}={row['chosen']}/seed0/record.json").read_text())
        assert tried["scores"].keys() == {"val"}
    assert "9 of 9 candidates to train" in said

    again = call("plan", file, "--output", output)
    assert "0 of 9 candidates to train" in again and "to train now: 0 stages, 0 steps" in again


FLAKY = """\
from pathlib import Path
from losses.l1 import L1 as Plain
from losses import Loss

class Flaky(Loss):
    formula, origin = Plain.formula, Plain.origin

    def forward(self, restoration, batch):
        if Path({flag!r}).exists():
            raise OSError(5, "Input/output error")
        return Plain()(restoration, batch)
"""


def test_a_passing_failure_does_not_change_the_choice(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """The command ends with one line, exit code 2, and no row is run; once the cause is gone, it goes on from there."""
    flaky, flag = "sane: {protocol.coarse.loss: {l1: null, flaky: 1.0}}", tmp_path / "full"
    file = edited("\ntables:\n", TUNING.replace("sane: {protocol.coarse.lr: 1e-3}", flaky))
    plugin, output = tmp_path / "flaky.py", tmp_path / "runs/small"
    plugin.write_text(FLAKY.format(flag=str(flag)))
    flag.touch()
    command = ["run", file, "--output", output, "--plugin", plugin, "--rows", "base"]
    result = CliRunner().invoke(cli, [*map(str, command)])
    assert isinstance(result.exception, RecordError)
    message = str(result.exception)
    assert "tuning/base=sane/seed0: this candidate of tuning failed: " in message and "Input/output error" in message
    tuning = json.loads((output / "tuning.json").read_text())
    assert [row["chosen"] for row in tuning["rows"]] == [None, None, None]
    assert not (output / "base").exists()

    flag.unlink()
    assert "1 of 3 candidates to train" in call(*command)
    tuning = json.loads((output / "tuning.json").read_text())
    assert tuning["rows"][0]["chosen"] == "sane"
    assert json.loads((output / "base/seed0/record.json").read_text())["stages"][0]["reused"]


def test_plan_tells_what_tuning_will_do(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Before anything was tried, rows stand as they are written, and the plan says so."""
    said = call("plan", tuned(edited), "--output", tmp_path / "runs/small")
    assert "9 of 9 candidates to train" in said and "as they are written" in said


def test_rows_of_tuning_must_exist(edited: Callable[[str, str], Path]) -> None:
    """A pattern that fits no row is a mistake of the file."""
    file = edited("\ntables:\n", TUNING.replace("tuning:\n", "tuning:\n  rows: [backbone.*]\n"))
    done = CliRunner().invoke(cli, ["plan", str(file)])
    assert "tuning.rows: 'backbone.*' fits no row; rows are base, " in str(done.exception)


@pytest.mark.slow  # that other rows are left alone: test_a_passing_failure_does_not_change_the_choice
def test_rows_run_one_by_one_keep_what_was_tried(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """A later `run --rows` tries its own rows alone; choices and plans of the others stay as they were."""
    file, output = tuned(edited), tmp_path / "runs/small"

    def asked(row: str) -> str:
        return call("run", file, "--output", output, "--rows", row, "--seeds", "0")

    def chosen() -> dict[str, str | None]:
        return {row["row"]: row["chosen"] for row in json.loads((output / "tuning.json").read_text())["rows"]}

    assert "3 of 3 candidates to train" in asked("base")
    first = chosen()
    assert first["base"] and not first["heads.direct_rgb"]
    assert "failed: tuning/heads.direct_rgb=wild seed 0: " in (said := asked("heads.direct_rgb")), said
    assert chosen()["base"] == first["base"] and chosen()["heads.direct_rgb"]
    rows = {row["row"]: row for row in json.loads((output / "plan.json").read_text())["rows"]}
    record = json.loads((output / "base/seed0/record.json").read_text())
    assert rows["base"]["config_hashes"]["0"] == record["config_hash"]


def test_jobs_of_candidates_are_listed_from_their_own_plan(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """So a cluster can carry them out before plan.json exists, whose rows are not chosen yet."""
    ready = prepare(Selection(tuned(edited), tmp_path / "runs/small", (), (), (), "cpu", (), replace=False))
    assert ready.candidates
    plans = written_plans(ready.candidates, ready.context)
    jobs = JobList(read_plan(ready.context.output, plans.example), ready.context.output, ready.context.store, True)
    rows = [job.name for job in jobs.jobs.values() if job.kind == "row"]
    assert len(rows) == 9 and "tuning/base=sane/seed0" in rows
    assert not (ready.context.output / "plan.json").exists()
