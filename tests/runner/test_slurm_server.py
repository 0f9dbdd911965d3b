"""`--executor slurm` on a real SLURM of one node: what it makes is what one machine makes, byte for byte.

By hand (`make torture`), where SLURM and munge are installed.
"""

import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from benchmark.files import read_json
from tests.runner.clusters import ROOT, begun_again, stage_weights
from tests.runner.slurm_server import slurm

pytestmark = pytest.mark.torture
_PATIENCE_SECONDS = 900.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """Of commands of SLURM and of the suite, whose jobs inherit it."""
    folder = tmp_path_factory.mktemp("slurm")
    with slurm(folder) as commands:
        yield {**commands, "PYTHONPATH": str(ROOT), "BENCHMARK_CACHE": str(folder / "cache")}


def call(environment: dict[str, str], folder: Path, *words: object) -> str:
    """Return what a command of the suite prints."""
    command = [sys.executable, "-m", "benchmark", *map(str, words)]
    ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def wait_for_the_queue(environment: dict[str, str]) -> None:
    """Wait until SLURM has no job of ours."""
    end = time.monotonic() + _PATIENCE_SECONDS
    command = ["squeue", "--me", "--noheader"]
    while jobs := subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < end, jobs
        time.sleep(1)


def test_a_run_makes_what_a_local_run_makes(environment: dict[str, str], experiment_file: Path, tmp_path: Path) -> None:
    """All rows, each stage a job behind its parent's; the follow-up writes the report."""
    run = ("run", experiment_file, "--devices", "cpu", "--output")
    call(environment, tmp_path, *run, tmp_path / "local/small")
    out = call(environment, tmp_path, *run, tmp_path / "slurm/small", "--executor", "slurm")
    assert "submitted" in out
    wait_for_the_queue(environment)
    weights = stage_weights(tmp_path / "slurm")
    assert weights and weights == stage_weights(tmp_path / "local")
    assert (tmp_path / "slurm/small/report/index.html").is_file()
    scores = [sorted((tmp_path / place).rglob("scores.csv")) for place in ("local", "slurm")]
    assert [file.read_bytes() for file in scores[0]] == [file.read_bytes() for file in scores[1]] and scores[0]


def test_a_job_at_its_time_limit_stores_its_state_and_goes_on(
    environment: dict[str, str], experiment_file: Path, tmp_path: Path
) -> None:
    """SLURM's signal comes half a minute before the limit of one minute; the job is queued again, and loses nothing."""
    run = (
        "run",
        experiment_file,
        "--devices",
        "cpu",
        "--rows",
        "base",
        "--set",
        "protocol.coarse.steps=1500",
        "--output",
    )
    options = ("--executor", "slurm", "--sbatch", "--time=1 --signal=B:USR1@30")
    call(environment, tmp_path, *run, tmp_path / "slurm/small", *options)
    wait_for_the_queue(environment)
    logs = {log.name: log.read_text() for log in (tmp_path / "slurm/small/.slurm").glob("*coarse*.log")}
    assert len(logs) == 1 and read_json(tmp_path / "slurm/small/base/seed0/record.json")["status"] == "done", logs
    (log,) = logs.values()
    assert "interrupted; what is finished is stored" in log and begun_again(tmp_path / "slurm"), log
    call(environment, tmp_path, *run, tmp_path / "local/small")
    assert stage_weights(tmp_path / "slurm") == stage_weights(tmp_path / "local")
