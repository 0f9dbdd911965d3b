"""Rows whose weights are given: tested as they are, or trained further; their records and reports."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.errors import CheckpointError
from benchmark.files import digest_of, read_json
from benchmark.model import build, load
from benchmark.model.weight_files import read_weights
from benchmark.runner.context import with_cached_sources
from benchmark.runner.plan_file import write_plan
from benchmark.runner.preflight import preflight
from benchmark.runner.run import run_rows
from reports import write
from reports.schema import Record

Edited = Callable[[str, str], Path]
TABLES = """\
tables:
  published:
    as_it_is:
      model.weights: %s
      protocol.order: []
    tuned: {model.weights: %s}
"""


@pytest.fixture
def experiment(edited: Edited, published_nafnet: Path) -> Path:
    """A net of ours of one stage, beside the published weights as they are and trained further."""
    edited("{name: nafnet, width: 4, depths: [1, 1, 1]}", "{name: nafnet, width: 8, depths: [1, 1, 1, 1, 1]}")
    edited("{name: degradation}", "{name: residual, padding: zeros}")
    file = edited("order: [coarse, psnr]", "order: [psnr]")
    file.write_text(file.read_text().split("tables:")[0] + TABLES % ((published_nafnet.name,) * 2))
    return file


def prepared(file: Path, *sets: str) -> Prepared:
    ready = prepare(Selection(file, file.parent / "runs" / "small", (), (), sets, "cpu", (), replace=False))
    machine = dataclasses.replace(ready.context.machine, threads=1)
    return dataclasses.replace(ready, context=dataclasses.replace(ready.context, machine=machine))


def run(file: Path) -> tuple[dict[str, Record], Path]:
    ready = prepared(file)
    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    write_plan(ready.whole, ready.plan, context.output, context.command)
    records = run_rows(preflight(ready.plan, context, replace=False), context, ["cpu"], lambda event: None)
    return {record.row: record for record in records}, context.output


def test_published_weights_stand_beside_a_trained_net(experiment: Path, published_nafnet: Path) -> None:
    """The row has no stages, scores on test, and the file's weights; the tuned one began with them, ours did not."""
    records, output = run(experiment)
    assert {record.status for record in records.values()} == {"done"}
    record = read_json(output / "published.as_it_is/seed0/record.json")
    assert record["stages"] == [] and record["scores"]["test"]["psnr"]["n"] == 3
    weights = record["config"]["model"]["weights"]
    assert weights == {"file": published_nafnet.name, "sha256": digest_of(published_nafnet)}  # beside the experiment
    model = {**record["config"]["model"], "weights": {**weights, "file": str(published_nafnet)}}
    published = build(model).state_dict()
    rows = [f"{row}/seed0/weights.safetensors" for row in ("published.as_it_is", "published.tuned", "base")]
    as_it_is, tuned, base = (read_weights(output / file) for file in rows)
    assert all(torch.equal(value, published[key]) for key, value in as_it_is.items())
    moved = [max(float((net[key] - published[key]).abs().max()) for key in published) for net in (tuned, base)]
    assert 0 < moved[0] < 0.01 < moved[1]
    assert [stage.name for stage in records["published.tuned"].stages] == ["psnr"]


def test_a_report_shows_a_row_without_stages(experiment: Path) -> None:
    """It ranks with the others, is compared with the base row, and is said to be not trained."""
    _, output = run(experiment)
    write(output)
    report = (output / "report/report.md").read_text()
    assert "published.as_it_is: not trained: its weights are from a file" in report
    assert "no stage finished" not in report and "is missing" not in report
    ranking = [line for line in report.splitlines() if line.startswith("| ") and "published.as" in line]
    assert len(ranking) >= 2


def test_a_finished_row_is_not_run_again(experiment: Path) -> None:
    """Also from the settings that the run has kept in its own folder, and when the file is another copy."""
    _, output = run(experiment)
    kept = prepare(Selection(output / "experiment.yaml", output, (), (), (), "cpu", (), replace=False))
    assert preflight(kept.plan, kept.context, replace=False) == []


def test_a_record_folder_outlives_the_file(experiment: Path, published_nafnet: Path) -> None:
    """What a row ended with lies in its own folder; the file it began with may be gone."""
    _, output = run(experiment)
    published_nafnet.unlink()
    restorer = load(output / "published.tuned/seed0")
    state = read_weights(output / "published.tuned/seed0/weights.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in restorer.state_dict().items())


def test_weights_that_do_not_fit_stop_the_run_before_training(edited: Edited, experiment: Path) -> None:
    """A wrong head or size is told when the plan is checked, not after hours."""
    edited("{name: residual, padding: zeros}", "{name: rgb}")
    ready = prepared(experiment)
    with pytest.raises(CheckpointError, match=r"write  head: \{name: residual, padding: zeros\}"):
        preflight(ready.plan, ready.context, replace=False)


def test_a_trial_without_stages_is_judged_on_val(experiment: Path) -> None:
    """A search compares all trials on val, also one that trains nothing; test is not looked at."""
    ready = prepared(experiment)
    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    row = next(row for row in ready.plan.rows if row.row == "published.as_it_is")
    scores = run_rows([row], context, ["cpu"], lambda event: None, is_trial=True)[0].scores
    assert list(scores) == ["val"] and scores["val"]["psnr"].n == 2
