"""Clusters for tests: Ray in a network namespace, a stand-in for SLURM, and what a run on them leaves."""

import importlib.util
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmark.files import read_json

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("slurm_stand_in.py")
HAS_RAY = importlib.util.find_spec("ray") is not None
NAMESPACE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
"""Ray listens on the network; here it has the loopback alone."""


def has_namespace() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_ray = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed")
needs_namespace = pytest.mark.skipif(
    not has_namespace(), reason="this user may not make a network namespace (unshare --net), and Ray must not listen"
)


def call(command: list[str], tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENCHMARK_CACHE": str(tmp_path / "cache")}
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def stage_weights(runs: Path) -> dict[str, bytes]:
    """Return the weights of all stages of a store, by key."""
    return {file.parent.name: file.read_bytes() for file in (runs / ".stages").glob("*/weights.safetensors")}


def ran_as_jobs(runs: Path) -> bool:
    """Return whether tasks carried out jobs: these leave notes beside the records, workers of the run leave none."""
    return any((runs / "small/.jobs").glob("*.json"))


def begun_again(runs: Path) -> dict[str, int]:
    """Return how often stages were begun again, after their process had died, by their keys; the others are left out.

    Each beginning has a lease with a fencing number one higher.
    """
    numbers = {file.parent.name: read_json(file)["fencing_number"] for file in (runs / ".stages").glob("*/meta.json")}
    return {key: number - 1 for key, number in numbers.items() if number > 1}


class Cluster:
    """Executes the scripts in the queue of the stand-in, each when those it waits for have ended, however they did."""

    def __init__(self, folder: Path, slots: int = 2) -> None:
        self.queue, self.slots = folder, slots
        self.order: list[str] = []
        """Names of the jobs as they were started."""

    def jobs(self) -> dict[str, dict[str, Any]]:
        return {
            file.stem: json.loads(file.read_text())
            for file in sorted(self.queue.glob("*.json"), key=lambda file: int(file.stem))
        }

    def run(self, usr1_after: float | None = None) -> dict[str, int]:
        """Execute until nothing is left; return the exit codes by the names of the jobs.

        `usr1_after`: seconds after which the shell of each job gets the signal that comes before the time limit, once.
        """
        running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        codes: dict[str, int] = {}
        while True:
            jobs = self.jobs()
            self.end_cancelled(jobs, running)
            for id, job in jobs.items():
                is_ready = all((self.queue / f"{other}.ended").exists() for other in job["after"])
                has_begun = id in running or (self.queue / f"{id}.ended").exists()
                if is_ready and not has_begun and len(running) < self.slots:
                    running[id] = self.start(id, job), time.monotonic()
            if not running:
                assert all((self.queue / f"{id}.ended").exists() for id in jobs), "jobs are pending for ever"
                return codes
            for id, (process, begun) in [*running.items()]:
                if usr1_after is not None and time.monotonic() - begun > usr1_after:
                    usr1_after = None
                    process.send_signal(signal.SIGUSR1)
                if process.poll() is not None:
                    del running[id]
                    codes[jobs[id]["name"]] = process.returncode
                    requeue = self.queue / f"{id}.requeue"
                    if requeue.exists():
                        requeue.unlink()
                    else:
                        (self.queue / f"{id}.ended").touch()
            time.sleep(0.01)

    def end_cancelled(
        self, jobs: Iterable[str], running: Mapping[str, tuple["subprocess.Popen[bytes]", float]]
    ) -> None:
        """Send SIGTERM to cancelled jobs that run; the others do not begin."""
        for id in jobs:
            if (self.queue / f"{id}.cancel").exists() and not (self.queue / f"{id}.ended").exists():
                if id in running:
                    os.killpg(running[id][0].pid, signal.SIGTERM)
                else:
                    (self.queue / f"{id}.ended").touch()

    @contextmanager
    def running(self) -> Generator[None]:
        """Execute what is submitted meanwhile, in a thread."""
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.wait(0.2):
                self.run()

        with ThreadPoolExecutor(1) as thread:
            served = thread.submit(serve)
            try:
                yield
            finally:
                is_over.set()
        served.result()

    def start(self, id: str, job: dict[str, Any]) -> "subprocess.Popen[bytes]":
        self.order.append(job["name"])
        pattern = next(line.partition("=")[2] for line in job["header"] if line.startswith("--output="))
        log = Path(pattern.replace("%x", job["name"]).replace("%j", id))
        with log.open("ab") as output:
            return subprocess.Popen(
                ["bash", job["script"], *job["arguments"]],
                env={**os.environ, "SLURM_JOB_ID": id},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
