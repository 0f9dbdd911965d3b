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
from tests.runner.clusters import begun_again, call, stage_weights
from tests.runner.slurm_server import slurm

pytestmark = pytest.mark.torture
_PATIENCE_SECONDS = 900.0


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """That of a running SLURM."""
    with slurm(tmp_path_factory.mktemp("slurm")) as file:
        yield file


@pytest.fixture(autouse=True)
def slurm_conf(configuration: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of SLURM and of the suite find it; jobs inherit their environment."""
    monkeypatch.setenv("SLURM_CONF", configuration)


def run(folder: Path, place: str, file: Path, *options: str) -> str:
    """Run an experiment in `PLACE/small`; return what the command prints."""
    words = ("run", str(file), "--devices", "cpu", "--output", str(folder / place / "small"), *options)
    return call([sys.executable, "-m", "benchmark", *words], folder).stdout


def wait_for_the_queue() -> None:
    """Wait until SLURM has no job of ours."""
    end = time.monotonic() + _PATIENCE_SECONDS
    command = ["squeue", "--me", "--noheader"]
    while jobs := subprocess.run(command, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < end, jobs
        time.sleep(1)


def test_a_run_makes_what_a_local_run_makes(experiment_file: Path, tmp_path: Path) -> None:
    """All rows, each stage a job behind its parent's; the follow-up writes the report."""
    run(tmp_path, "local", experiment_file)
    assert "submitted" in run(tmp_path, "slurm", experiment_file, "--executor", "slurm")
    wait_for_the_queue()
    weights = stage_weights(tmp_path / "slurm")
    assert weights and weights == stage_weights(tmp_path / "local")
    assert (tmp_path / "slurm/small/report/index.html").is_file()
    scores = [sorted((tmp_path / place).rglob("scores.csv")) for place in ("local", "slurm")]
    assert [file.read_bytes() for file in scores[0]] == [file.read_bytes() for file in scores[1]] and scores[0]


def test_a_job_at_its_time_limit_stores_its_state_and_goes_on(experiment_file: Path, tmp_path: Path) -> None:
    """SLURM's signal comes half a minute before the limit of one minute; the job is queued again, and loses nothing."""
    options = ("--rows", "base", "--set", "protocol.coarse.steps=1500")
    limits = ("--executor", "slurm", "--sbatch", "--time=1 --signal=B:USR1@30")
    run(tmp_path, "slurm", experiment_file, *options, *limits)
    wait_for_the_queue()
    logs = {log.name: log.read_text() for log in (tmp_path / "slurm/small/.slurm").glob("*coarse*.log")}
    assert len(logs) == 1 and read_json(tmp_path / "slurm/small/base/seed0/record.json")["status"] == "done", logs
    (log,) = logs.values()
    assert "interrupted; what is finished is stored" in log and begun_again(tmp_path / "slurm"), log
    run(tmp_path, "local", experiment_file, *options)
    assert stage_weights(tmp_path / "slurm") == stage_weights(tmp_path / "local")
