"""A finished run that tests share, and commands that are killed: who starts them, and what must be left of a run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.runner.clusters import STAND_IN, Cluster
from tests.runner.small_runs import Run, run

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 300.0


class Driver:
    """Starts and ends commands in a folder."""

    def __init__(self, folder: Path) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "2",  # two workers
            "BENCHMARK_CACHE": str(folder / "cache"),
        }
        self.folder = folder
        self._commands = 0
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/runner/kill_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )

    def start(self, arguments: str) -> int:
        """Start a command; return its pid, which leads a session of its own."""
        self._commands += 1
        return self._ask(f"log{self._commands}.txt {arguments}")

    def wait(self, pid: int) -> int:
        """Return the exit code of a command, when it has ended."""
        return self._ask(f"wait {pid}")

    def logs(self) -> str:
        """Return the end of what the last commands printed."""
        return "\n".join(
            f"{file.name}: {file.read_text()[-3000:]}" for file in sorted(self.folder.glob("log*.txt"))[-2:]
        )

    @staticmethod
    def members(leader: int) -> list[int]:
        """Return the processes of a command: its own and its workers."""
        members: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(number) == leader and state not in "ZX":
                    members.append(int(folder.name))
        return sorted(members)

    @staticmethod
    def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
        """Send a signal to processes; those that have ended are passed over."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait_until_gone(self, leader: int) -> None:
        """Wait until no process of a command is left."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.members(leader):
            assert time.monotonic() < deadline, f"processes are left: {self.members(leader)}"
            time.sleep(0.02)

    def close(self) -> None:
        """End the driver."""
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def _ask(self, line: str) -> int:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture
def make_driver(tmp_path: Path) -> Generator[Callable[[], Driver]]:
    """A function that starts the driver, in the folder of the test."""
    drivers: list[Driver] = []

    def make() -> Driver:
        drivers.append(Driver(tmp_path))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def run_files(runs: Path) -> dict[str, Any]:
    """Return all files of a run and its store by name, without times and without what an interrupt may change."""
    files: dict[str, Any] = {}
    for file in sorted(path for path in runs.rglob("*") if path.is_file()):
        name = str(file.relative_to(runs))
        if ".leases/" in name or "/report/" in name or name.endswith(TOLD_BY_TIMES):
            files |= {} if ".leases/" in name else {name: "there"}
        elif name.endswith(".json"):
            files[name] = without_times(json.loads(file.read_text()))
        else:
            files[name] = file.read_bytes()
    return files


TOLD_BY_TIMES = ("plan.json", "curve.csv", ".report_made_from")
"""Files whose bytes follow from times; the last holds digests of records, which name the times of a run."""
TIMES = {"started", "finished", "seconds", "images_per_second", "peak_memory_bytes"}
OF_THE_INTERRUPTS = {"reused", "row", "command", "curve.csv", "digest", "fencing_number"}
"""Which stages a resumed run finds in the store, the command's own words, and lines of the curve at the interrupts."""


def without_times(data: Any) -> Any:
    if isinstance(data, dict):
        left_out = TIMES | (OF_THE_INTERRUPTS - ({"row"} if "config_hash" in data else set()))
        return {key: without_times(value) for key, value in data.items() if key not in left_out}
    return [without_times(item) for item in data] if isinstance(data, list) else data


def compare(actual: dict[str, Any], expected: dict[str, Any], after: str) -> None:
    assert actual.keys() == expected.keys(), (after, sorted(actual.keys() ^ expected.keys()))
    differing = [name for name, content in expected.items() if actual[name] != content]
    assert not differing, (after, differing, [actual[name] for name in differing if name.endswith(".json")][:1])


@pytest.fixture
def files_of_run() -> Callable[[Path], dict[str, Any]]:
    """`run_files`."""
    return run_files


@pytest.fixture
def same_files() -> Callable[[dict[str, Any], dict[str, Any], str], None]:
    """`compare`."""
    return compare


@pytest.fixture(scope="session")
def finished(experiment_text: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the small experiment, for reading only: events, records, folder."""
    file = tmp_path_factory.mktemp("finished") / "small.yaml"
    file.write_text(experiment_text)
    return run(file)


@pytest.fixture
def output(finished: Run, experiment_file: Path) -> Path:
    """The folder of a finished run of `experiment_file`, with its stage store, for tests that change it."""
    shutil.copytree(finished[2].parent, experiment_file.parent / "runs")
    return experiment_file.parent / "runs/small"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster with two slots, whose programs are the first on the path."""
    programs, queue = tmp_path / "programs", tmp_path / "queue"
    programs.mkdir()
    queue.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "scancel"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {name} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("SLURM_STAND_IN", str(queue))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Cluster(queue)
