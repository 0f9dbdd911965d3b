"""Searches and tuning on Ray and on SLURM make what they make on this machine, to the byte, with one worker."""

import csv
import sys
from pathlib import Path

import pytest

from benchmark.files import read_json
from tests.runner.clusters import (
    NAMESPACE,
    Cluster,
    begun_again,
    call,
    needs_namespace,
    needs_ray,
    ran_as_jobs,
    stage_weights,
)
from tests.runner.slurm_server import slurm

LONGER = ("psnr: {steps: 3,", "psnr: {steps: 12, validate_every: 4,")
SEARCH = """\
search:
  trials: 4
  pruner: {name: successive_halving, reduction: 2, min_steps: 1, startup_trials: 1}
  parameters:
    protocol.coarse.lr: {choices: [1e-3, 2e-3]}
    protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}
"""
TUNING = """\
tuning:
  candidates:
    sane: {protocol.coarse.lr: 1e-3}
    wild: {protocol.coarse.lr: 1e15}
"""


@pytest.fixture(scope="module")
def search(experiment_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search of one worker, and what it makes on this machine in `local`."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "small.yaml").write_text(experiment_text.replace(*LONGER) + SEARCH)
    call(search_in(folder, "local"), folder)
    assert {row["status"] for row in trials(folder / "local")} == {"done", "pruned"}
    assert not ran_as_jobs(folder / "local")
    return folder


@pytest.fixture(scope="module")
def tuning(experiment_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment whose base row has two candidates, and what it makes on this machine in `local`."""
    folder = tmp_path_factory.mktemp("tuning")
    (folder / "small.yaml").write_text(experiment_text + TUNING)
    call(tuned_run_in(folder, "local"), folder)
    assert read_json(folder / "local/small/tuning.json")["rows"][0]["chosen"] == "sane"
    assert not ran_as_jobs(folder / "local")
    return folder


def search_in(folder: Path, place: str) -> list[str]:
    """Return the command of a search with one worker, whose folder is `PLACE/small`."""
    return command_in(folder, place, "search", "--workers", "1")


def tuned_run_in(folder: Path, place: str) -> list[str]:
    """Return the command of a run with tuning, whose folder is `PLACE/small`."""
    return command_in(folder, place, "run", "--rows", "base")


def command_in(folder: Path, place: str, name: str, *options: str) -> list[str]:
    output = str(folder / place / "small")
    program = [sys.executable, "-m", "benchmark"]
    return [*program, name, str(folder / "small.yaml"), "--devices", "cpu", *options, "--output", output]


def trials(runs: Path) -> list[dict[str, str]]:
    """Return what trials.csv says of each trial, without times."""
    rows = csv.DictReader((runs / "small/trials.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def check_stages(folder: Path, place: str) -> None:
    """Check that all stages have the bytes that they have on this machine; each was trained by a job, and once."""
    weights = stage_weights(folder / place)
    assert weights and weights == stage_weights(folder / "local")
    notes = {file.stem for file in (folder / place / "small/.jobs").glob("*.json")}
    assert weights.keys() <= notes
    assert begun_again(folder / place) == begun_again(
        folder / "local"
    )  # a pruned stage that another trial went on with


def check_tuned(folder: Path, place: str) -> None:
    """Check that the same candidate was chosen, and that the row is the same file."""
    check_stages(folder, place)
    local, other = folder / "local/small", folder / place / "small"
    assert read_json(other / "tuning.json") == read_json(local / "tuning.json")
    weights = "base/seed0/weights.safetensors"
    assert (other / weights).read_bytes() == (local / weights).read_bytes()


@pytest.mark.slow
@needs_ray
@needs_namespace
def test_a_search_on_ray(search: Path) -> None:
    """A pruned trial ends at the same step, for the same reason; the next trial is the one that it would be here."""
    call([*NAMESPACE, *search_in(search, "ray"), "--executor", "ray"], search)
    assert trials(search / "ray") == trials(search / "local")
    check_stages(search, "ray")


@pytest.mark.slow
@needs_ray
@needs_namespace
def test_tuning_on_ray(tuning: Path) -> None:
    call([*NAMESPACE, *tuned_run_in(tuning, "ray"), "--executor", "ray"], tuning)
    check_tuned(tuning, "ray")


@pytest.mark.slow
def test_a_search_on_slurm(search: Path, cluster: Cluster) -> None:
    """It submits what is ready, and stays until the last trial has ended."""
    with cluster.running():
        call([*search_in(search, "slurm"), "--executor", "slurm"], search)
    assert trials(search / "slurm") == trials(search / "local")
    check_stages(search, "slurm")


@pytest.mark.torture
def test_a_search_on_a_real_slurm(search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ends of its jobs are seen in the queue of a real controller."""
    with slurm(tmp_path / "cluster") as configuration:
        monkeypatch.setenv("SLURM_CONF", configuration)
        call([*search_in(search, "real_slurm"), "--executor", "slurm"], search)
    assert trials(search / "real_slurm") == trials(search / "local")
    check_stages(search, "real_slurm")


@pytest.mark.slow
def test_tuning_on_slurm(tuning: Path, cluster: Cluster) -> None:
    """The run ends once candidates are submitted; their follow-up submits the row, whose follow-up reports."""
    call([*tuned_run_in(tuning, "slurm"), "--executor", "slurm"], tuning)
    cluster.run()
    check_tuned(tuning, "slurm")
    assert [name for name in cluster.order if name.endswith("follow-up")] == ["small.follow-up"] * 2
    assert (tuning / "slurm/small/report/index.html").is_file()
