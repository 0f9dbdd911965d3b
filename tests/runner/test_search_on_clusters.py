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
PROGRAM = [sys.executable, "-m", "benchmark"]


@pytest.fixture(scope="module")
def folder(experiment_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search and an experiment with tuning, and what both make on this machine in `local`."""
    folder = tmp_path_factory.mktemp("clusters")
    (folder / "search.yaml").write_text(experiment_text.replace(*LONGER) + SEARCH)
    (folder / "tuning.yaml").write_text(experiment_text + TUNING)
    call([*PROGRAM, *search_of(folder, "local")], folder)
    call([*PROGRAM, *tuning_of(folder, "local")], folder)
    assert not ran_as_jobs(folder / "local")
    return folder


def search_of(folder: Path, place: str) -> list[str]:
    """Return the arguments of a search with one worker, whose folder is `PLACE/small`."""
    file, output = str(folder / "search.yaml"), str(folder / place / "small")
    return ["search", file, "--devices", "cpu", "--workers", "1", "--output", output]


def tuning_of(folder: Path, place: str) -> list[str]:
    """Return the arguments of a run with tuning, whose folder is `PLACE/tuned`."""
    file, output = str(folder / "tuning.yaml"), str(folder / place / "tuned")
    return ["run", file, "--devices", "cpu", "--rows", "base", "--output", output]


def results(runs: Path) -> list[dict[str, str]]:
    """Return what trials.csv says of each trial, without times."""
    rows = csv.DictReader((runs / "small/trials.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def check_same(folder: Path, place: str) -> None:
    """Check that a search and a tuned run made what they make on this machine, each stage in a job, and once."""
    local, other = folder / "local", folder / place
    assert results(other) == results(local)
    assert {row["status"] for row in results(local)} == {"done", "pruned"}
    assert read_json(other / "tuned/tuning.json") == read_json(local / "tuned/tuning.json")
    assert read_json(local / "tuned/tuning.json")["rows"][0]["chosen"] == "sane"
    weights = stage_weights(local)
    assert stage_weights(other) == weights
    notes = {file.stem for run in ("small", "tuned") for file in (other / run / ".jobs").glob("*.json")}
    assert weights.keys() <= notes
    assert not begun_again(other).keys() - begun_again(local).keys()
    best = "base/seed0/weights.safetensors"
    assert (other / "tuned" / best).read_bytes() == (local / "tuned" / best).read_bytes()


@pytest.mark.slow
@needs_ray
@needs_namespace
def test_on_ray(folder: Path) -> None:
    """Trials, candidates and rows are tasks; a pruned trial ends at the same step, for the same reason."""
    for arguments in (search_of(folder, "ray"), tuning_of(folder, "ray")):
        call([*NAMESPACE, *PROGRAM, *arguments, "--executor", "ray"], folder)
    check_same(folder, "ray")


@pytest.mark.slow
def test_on_slurm(folder: Path, cluster: Cluster) -> None:
    """A search submits what is ready and stays; a run with tuning ends, and its follow-ups go on."""
    with cluster.running():
        call([*PROGRAM, *search_of(folder, "slurm"), "--executor", "slurm"], folder)
    call([*PROGRAM, *tuning_of(folder, "slurm"), "--executor", "slurm"], folder)
    cluster.run()
    check_same(folder, "slurm")
    assert [name for name in cluster.order if name.endswith("follow-up")] == ["tuned.follow-up"] * 2
