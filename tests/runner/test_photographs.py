"""Rows are tested on photographs, too: scores in the record, pictures beside it, and nothing finished is made stale."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.files import read_json, write_json
from benchmark.runner import row as rows
from benchmark.runner.context import Context, with_cached_sources
from benchmark.runner.record_writer import damaged_file, is_finished
from benchmark.runner.row import RowProgress

PICTURE = "more_tests/photographs/grace_hopper__v0.png"


@pytest.fixture
def ready(experiment_file: Path) -> tuple[Prepared, Context]:
    """The small experiment with photographs of 64 pixels, its images ready."""
    sets = ("photographs={versions: 1, size: 64, preset: severe}",)
    selection = Selection(experiment_file, experiment_file.parent / "runs/small", (), (), sets, "cpu", (), False)
    prepared = prepare(selection)
    return prepared, with_cached_sources(prepared.plan.experiment.data, prepared.context, lambda event: None)


def test_a_baseline_is_tested_on_photographs(ready: tuple[Prepared, Context]) -> None:
    """Doing nothing does no harm; scores and pictures are covered by the record's digests."""
    prepared, context = ready
    identity = prepared.plan.baselines[0]
    rows.test_row(identity, RowProgress(), context, lambda event: None)
    folder = context.output / "identity"
    record = read_json(folder / "record.json")
    scores = record["scores"]["photographs"]
    assert scores["harm"]["mean"] == 0 and scores["psnr"]["mean"] > 20 and scores["psnr"]["n"] >= 1
    assert record["scores"]["test"]["psnr"]["n"] == 3
    assert PICTURE in record["files"] and (folder / PICTURE).is_file()
    assert "\nphotographs,grace_hopper__v0,psnr," in (folder / "scores.csv").read_text()
    (folder / PICTURE).unlink()
    assert damaged_file(folder) == folder / PICTURE


def test_a_record_from_before_photographs_stays_finished(ready: tuple[Prepared, Context]) -> None:
    """It has no scores on them, and is not tested again."""
    prepared, context = ready
    identity = prepared.plan.baselines[0]
    rows.test_row(identity, RowProgress(), context, lambda event: None)
    folder = context.output / "identity"
    record = read_json(folder / "record.json")
    del record["scores"]["photographs"]
    write_json(folder / "record.json", {**record, "files": {}})
    assert is_finished(folder, identity.config_hash, replace=False)


@pytest.mark.slow
def test_a_run_shows_photographs_in_its_report_and_continues_with_them(
    experiment_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained rows have them, the same command does nothing, and another folder of photographs is another test."""
    monkeypatch.chdir(experiment_file.parent)
    setting = "photographs={versions: 1, size: 64, preset: severe}"

    def run(*options: str) -> str:
        result = CliRunner().invoke(cli, ["run", str(experiment_file), "--rows", "base", *options])
        return f"{result.exit_code} {result.output} {result.exception}"

    assert run("--set", setting).startswith("0 ")
    output = experiment_file.parent / "runs/small"
    assert (output / "base/seed0" / PICTURE).is_file()
    assert "pictures_photographs.png" in (output / "report/report.md").read_text()
    assert "all 4 rows are finished" in run("--set", setting)
    changed = "photographs={folder: portraits, versions: 1, size: 64, preset: severe}"
    (experiment_file.parent / "portraits").mkdir()
    source = output / "pairs/more_tests/photographs/target/grace_hopper__v0.png"
    (experiment_file.parent / "portraits/her.png").write_bytes(source.read_bytes())
    assert "holds a finished record of another configuration" in run("--set", changed)
    assert run("--set", changed, "--replace").startswith("0 ")
    assert not (output / "base/seed0" / PICTURE).exists()
    assert (output / "base/seed0/more_tests/photographs/her__v0.png").is_file()
