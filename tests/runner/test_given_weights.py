"""Rows whose weights are given: tested as they are, or trained further; their records and reports."""

import shutil
from pathlib import Path

import pytest
import torch

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import CheckpointError
from benchmark.files import digest_of, read_json
from benchmark.model import build, load
from benchmark.model.weight_files import read_weights
from benchmark.runner.context import with_cached_sources
from benchmark.runner.preflight import preflight
from benchmark.runner.run import run_rows
from reports import write
from reports.schema import Record
from tests.runner.small_runs import prepared, run

Finished = tuple[dict[str, Record], Path]
"""Records by row, and the folder of the run."""
TABLES = """\
tables:
  published:
    as_it_is:
      model.weights: nafnet_w8.pth
      protocol.order: []
    tuned: {model.weights: nafnet_w8.pth}
"""


def write_experiment(folder: Path, small: str, weights: Path) -> Path:
    """A net of ours of one stage, beside the published weights as they are and trained further."""
    shutil.copy(weights, folder)
    text = small.split("tables:")[0] + TABLES
    for old, new in (
        ("{name: nafnet, width: 4, depths: [1, 1, 1]}", "{name: nafnet, width: 8, depths: [1, 1, 1, 1, 1]}"),
        ("{name: degradation}", "{name: residual, padding: zeros}"),
        ("order: [coarse, psnr]", "order: [psnr]"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "small.yaml").write_text(text)
    return folder / "small.yaml"


@pytest.fixture
def experiment(experiment_text: str, published_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The experiment in a folder of its own, not run yet."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    return write_experiment(tmp_path, experiment_text, published_weights)


@pytest.fixture(scope="module")
def finished(experiment_text: str, published_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Records by row, and the folder, of a finished run; for reading only."""
    file = write_experiment(tmp_path_factory.mktemp("given_weights"), experiment_text, published_weights)
    _, records, output = run(file)
    return {record.row: record for record in records}, output


def test_published_weights_stand_beside_a_trained_net(finished: Finished, published_weights: Path) -> None:
    """The row has no stages, scores on test, and the file's weights; the tuned one began with them, ours did not."""
    records, output = finished
    assert {record.status for record in records.values()} == {"done"}
    record = read_json(output / "published.as_it_is/seed0/record.json")
    assert record["stages"] == [] and record["scores"]["test"]["psnr"]["n"] == 3
    weights = record["config"]["model"]["weights"]
    assert weights == {"file": published_weights.name, "sha256": digest_of(published_weights)}  # beside the experiment
    model = {**record["config"]["model"], "weights": {**weights, "file": str(published_weights)}}
    published = build(model).state_dict()
    rows = [f"{row}/seed0/weights.safetensors" for row in ("published.as_it_is", "published.tuned", "base")]
    as_it_is, tuned, base = (read_weights(output / file) for file in rows)
    assert all(torch.equal(value, published[key]) for key, value in as_it_is.items())
    moved = [max(float((net[key] - published[key]).abs().max()) for key in published) for net in (tuned, base)]
    assert 0 < moved[0] < 0.01 < moved[1]
    assert [stage.name for stage in records["published.tuned"].stages] == ["psnr"]


def test_a_report_shows_a_row_without_stages(finished: Finished, tmp_path: Path) -> None:
    """It ranks with the others, is compared with the base row, and is said to be not trained."""
    output = shutil.copytree(finished[1], tmp_path / "small")
    write(output)
    report = (output / "report/report.md").read_text()
    assert "published.as_it_is: not trained: its weights are from a file" in report
    assert "no stage finished" not in report and "is missing" not in report
    ranking = [line for line in report.splitlines() if line.startswith("| ") and "published.as" in line]
    assert len(ranking) >= 2


def test_a_finished_row_is_not_run_again(finished: Finished) -> None:
    """Also from the settings that the run has kept in its own folder, and when the file is another copy."""
    _, output = finished
    kept = prepare(Selection(output / "experiment.yaml", output, (), (), (), "cpu", (), replace=False))
    assert preflight(kept.plan, kept.context, replace=False) == []


def test_a_record_folder_outlives_the_file(finished: Finished) -> None:
    """What a row ended with lies in its own folder; the file it began with may be gone."""
    _, output = finished
    file = output.parents[1] / "nafnet_w8.pth"
    file.rename(file.with_name("moved.pth"))
    restorer = load(output / "published.tuned/seed0")
    file.with_name("moved.pth").rename(file)
    state = read_weights(output / "published.tuned/seed0/weights.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in restorer.state_dict().items())


def test_weights_that_do_not_fit_stop_the_run_before_training(experiment: Path) -> None:
    """A wrong head or size is told when the plan is checked, not after hours."""
    experiment.write_text(experiment.read_text().replace("{name: residual, padding: zeros}", "{name: rgb}"))
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
