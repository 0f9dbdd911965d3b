"""kill -9 at random moments of a run with two workers, pauses, two commands on one folder: the bytes are the same."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "12"))
"""`KILLS=100 pytest -m torture tests/runner/test_kill_series.py` for more."""
SEED = int(os.environ.get("KILL_SEED", "0"))
PAUSE_SECONDS = 2.5
"""More than the second after which a lease is stale in `kill_driver.py`."""
SCENARIOS = ("command", "command", "worker", "parent", "pause", "two commands")
PATIENCE_SECONDS = 300.0

EXPERIMENT = """\
name: killed
data:
  train: {{source: paired_folders, degraded: {pairs}/train/degraded, target: {pairs}/train/target}}
  val: {{source: paired_folders, degraded: {pairs}/val/degraded, target: {pairs}/val/target}}
  test: {{source: paired_folders, degraded: {pairs}/test/degraded, target: {pairs}/test/target}}
model: {{backbone: {{name: dncnn, size: tiny}}, head: {{name: residual}}}}
protocol:
  order: [coarse, last]
  coarse: {{steps: 16, batch: 1, patch: 16, lr: 1e-3, loss: {{l1: 1.0}}, augment: {{flip: {{}}}}}}
  last: {{steps: 12, batch: 1, patch: 16, lr: 1e-4, loss: {{l1: 1.0}}, ema: {{}}, output: ema}}
seeds: [0]
tables:
  heads:
    rgb: {{model.head: {{name: rgb}}}}
    degradation: {{model.head: {{name: degradation}}}}
  stages:
    coarse_alone: {{protocol.order: [coarse]}}
"""


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

    def start(self, output: str) -> int:
        """Start a run; return its pid."""
        self._commands += 1
        return self._ask(f"log{self._commands}.txt run killed.yaml --output {output}")

    def wait(self, pid: int) -> int:
        """Return the exit code of a run, when it has ended."""
        return self._ask(f"wait {pid}")

    def logs(self) -> str:
        """Return the end of what the last commands printed."""
        return "\n".join(
            f"{file.name}: {file.read_text()[-3000:]}" for file in sorted(self.folder.glob("log*.txt"))[-2:]
        )

    def close(self) -> None:
        """End the driver."""
        self._process.communicate(timeout=10)

    def _ask(self, line: str) -> int:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture
def driver(pairs: Path, tmp_path: Path) -> Generator[Driver]:
    (tmp_path / "killed.yaml").write_text(EXPERIMENT.format(pairs=pairs))
    driver = Driver(tmp_path)
    yield driver
    driver.close()


def session(leader: int) -> list[int]:
    """Return the processes of a command: its own and its workers."""
    members: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(number) == leader and state not in "ZX":
                members.append(int(folder.name))
    return sorted(members)


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until_gone(leader: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while session(leader):
        assert time.monotonic() < deadline, f"processes are left: {session(leader)}"
        time.sleep(0.02)


@pytest.mark.torture
def test_killed_at_any_moment_the_results_are_the_same(driver: Driver, tmp_path: Path) -> None:
    """Every file of the records, but for times, is that of an undisturbed run, and nothing else is left behind."""
    begin = time.monotonic()
    assert driver.wait(driver.start("straight/killed")) == 0, driver.logs()
    duration, chosen, counts, finished = time.monotonic() - begin, random.Random(SEED), Counter[str](), 0
    expected = contents(tmp_path / "straight")
    while sum(counts.values()) < KILLS:
        scenario = chosen.choice(SCENARIOS)
        command = driver.start("runs/killed")
        partner = driver.start("runs/killed") if scenario == "two commands" else None
        time.sleep(chosen.uniform(0, duration))
        members = session(command)
        if not members or (scenario == "worker" and len(members) < 2):
            pass  # it was faster than the kill
        elif scenario == "worker":
            kill([chosen.choice(members[1:])])
            counts[scenario] += 1
        elif scenario == "parent":
            kill([command])
            counts[scenario] += 1
        elif scenario == "pause":
            kill(members, signal.SIGSTOP)
            time.sleep(PAUSE_SECONDS)
            partner = driver.start("runs/killed")
            time.sleep(chosen.uniform(0, duration))
            kill(members, signal.SIGCONT)
            counts[scenario] += 1
        else:
            kill(members)
            counts[scenario] += 1
        codes = [driver.wait(pid) for pid in (command, partner) if pid is not None]
        assert codes[-1] in (0, -signal.SIGKILL) and codes[0] in (0, -signal.SIGKILL), (scenario, codes, driver.logs())
        wait_until_gone(command)
        if 0 in codes:  # the run has come to its end: compare, and begin again
            compare(contents(tmp_path / "runs"), expected, f"{scenario} {codes}")
            shutil.rmtree(tmp_path / "runs")
            finished += 1
    assert driver.wait(driver.start("runs/killed")) == 0, driver.logs()
    compare(contents(tmp_path / "runs"), expected, "the last run")
    left = [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]
    assert left == []
    print(f"{sum(counts.values())} kills, {finished + 1} runs came to their end: {dict(counts)}")


def contents(runs: Path) -> dict[str, Any]:
    """Return all files of a run and its store by name, without times and without what an interrupt may change."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in runs.rglob("*") if path.is_file()):
        name = str(file.relative_to(runs))
        if ".leases/" in name or "/report/" in name or name.endswith(("plan.json", "curve.csv")):
            found |= {} if ".leases/" in name else {name: "there"}
        elif name.endswith(".json"):
            found[name] = without_times(json.loads(file.read_text()))
        else:
            found[name] = file.read_bytes()
    return found


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
