"""The Ray executor: the same weights as a local run, on one node, and on two of which one is killed.

Ray listens on the network, so these tests run it in a network namespace that has the loopback alone.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import BenchmarkError, ProcessError
from benchmark.runner import ray_executor, ray_task
from benchmark.runner.job_command import plans_of_run
from benchmark.runner.jobs import TrainStage
from benchmark.runner.ray_executor import RayExecutor
from tests.runner.clusters import (
    HAS_RAY,
    NAMESPACE,
    ROOT,
    begun_again,
    call,
    needs_namespace,
    needs_ray,
    ran_as_jobs,
    stage_weights,
)

KILLS = int(os.environ.get("KILLS", "2"))
SEED = int(os.environ.get("KILL_SEED", "0"))
ROWS = os.environ.get("TORTURE_ROWS", "*").split(",")
"""Of gunet_short: all, or fewer where there is little time."""


def test_a_job_of_a_node_returns_exit_code_and_last_words() -> None:
    """In a process of its own, without the thread limit that Ray sets and, on the CPU, without GPUs."""
    code, errors = ray_task.carry_out(["job", "/nowhere", "--list"], is_on_cpu=True)
    assert code == 2 and "expected the folder of a run" in errors


def test_nodes_agree_where_python_torch_suite_and_plan_are_the_same(tmp_path: Path) -> None:
    """A folder that a node does not see is told from one with another plan."""
    (tmp_path / "plan.json").write_text("{}")
    facts = ray_task.node_facts(str(tmp_path / "plan.json"))
    assert facts == ray_task.node_facts(str(tmp_path / "plan.json")) and list(facts) == [
        "Python",
        "torch",
        "suite",
        "plan",
    ]
    assert ray_task.node_facts("/nowhere/plan.json")["plan"] == "cannot be read (No such file or directory)"


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_ray_one_line_says_what_to_install(experiment_file: Path) -> None:
    """Before anything is run."""
    ready = prepare(Selection(experiment_file, None, (), (), (), "cpu", (), replace=False))
    with pytest.raises(BenchmarkError, match=r"ray not installed; pip install 'restoration-benchmark\[ray\]'"):
        RayExecutor(ready.context, None, plans_of_run(ready.context.output))


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_the_command_asks_for_ray_and_does_not_run_without_it(experiment_file: Path) -> None:
    """`--executor ray` must not train on this machine in silence."""
    output = experiment_file.parent / "runs/small"
    done = CliRunner().invoke(cli, ["run", str(experiment_file), "--executor", "ray", "--output", str(output)])
    assert "ray not installed; pip install" in str(done.exception)
    assert not list((output.parent / ".stages").glob("*/meta.json"))


class SimulatedRay:
    """The state of a cluster as Ray tells it, in which no task ever begins."""

    def __init__(self, cpus: float, free: float) -> None:
        self.cpus, self.free, self.tasks = cpus, free, 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.cpus}

    def available_resources(self) -> dict[str, float]:
        return {"CPU": self.free}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": self.cpus}}]

    def remote(self, **_options: object) -> Callable[..., Any]:
        return lambda _task: SimpleNamespace(remote=self.submit)

    def wait(self, _tasks: object, **_options: object) -> tuple[list[Any], list[Any]]:
        return [], []

    def submit(self, *_arguments: object, **_options: object) -> int:
        self.tasks += 1
        return self.tasks


@pytest.fixture
def executor_on(experiment_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[RayExecutor, list[Any]]]:
    """A function that returns an executor on a simulated cluster, and the stages of the small experiment as jobs."""

    def make(cpus: float, free: float, *sets: str) -> tuple[RayExecutor, list[Any]]:
        ray = SimulatedRay(cpus, free)
        monkeypatch.setattr(ray_executor, "connect", lambda *_arguments: ray)
        monkeypatch.setattr(ray_executor, "check_nodes", lambda *_arguments: None)
        monkeypatch.setattr(ray_executor, "_PENDING_SECONDS", 0.0)
        ready = prepare(Selection(experiment_file, None, (), (), sets, "cpu", (), replace=False))
        jobs = [TrainStage(row, stage) for row in ready.plan.rows for stage in row.stages]
        return RayExecutor(ready.context, None, plans_of_run(ready.context.output)), jobs

    return make


def test_twice_as_many_jobs_are_submitted_as_there_are_slots(executor_on: Callable[..., Any]) -> None:
    """More would wait in Ray, where a job that became more urgent could not overtake them."""
    executor, jobs = executor_on(2.0, 2.0)
    started = 0
    while executor.has_room:
        executor.start(jobs[started])
        started += 1
    assert executor.slots == 2 and started == 4


def test_jobs_that_stay_pending_although_devices_are_free_are_an_error(executor_on: Callable[..., Any]) -> None:
    """Where all devices are in use, they wait for them, however long that takes."""
    executor, jobs = executor_on(2.0, 2.0)
    executor.start(jobs[0])
    with pytest.raises(ProcessError, match="1 jobs are pending for 0 s although 2 CPU are free; `ray status`"):
        executor.wait(lambda event: None)
    busy, _ = executor_on(2.0, 0.0)
    for job in jobs[:4]:
        busy.start(job)
    busy.wait(lambda event: None)


def test_a_job_that_no_node_can_run_fails_at_once(executor_on: Callable[..., Any]) -> None:
    """Ray would wait for ever for a node that is large enough."""
    executor, jobs = executor_on(2.0, 2.0, "protocol.coarse.threads=8")
    events: list[Any] = []
    executor.start(jobs[0])
    executor.wait(events.append)
    assert [event.failure.message for event in events] == [
        "needs 8 CPU on one node of the Ray cluster, the largest has 2; lower it"
    ]


@needs_ray
def test_a_cluster_without_a_known_token_is_refused(experiment_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong token Ray would wait for ever, and without tokens anybody could run code."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(experiment_file.parent))
    ready = prepare(Selection(experiment_file, None, (), (), (), "cpu", (), replace=False))
    with pytest.raises(BenchmarkError, match="no token of the cluster is known"):
        RayExecutor(ready.context, "127.0.0.1:6379", plans_of_run(ready.context.output))


@pytest.mark.slow
@needs_ray
@needs_namespace
def test_a_run_on_ray_makes_what_a_local_run_makes(experiment_file: Path, tmp_path: Path) -> None:
    """Every stage with the same bytes, every row done, and nothing trained twice."""
    run = [sys.executable, "-m", "benchmark", "run", str(experiment_file), "--rows", "base", "--output"]
    call([*run, str(tmp_path / "local/small")], tmp_path)
    ended = call([*NAMESPACE, *run, str(tmp_path / "ray/small"), "--executor", "ray"], tmp_path)
    assert stage_weights(tmp_path / "ray") == stage_weights(tmp_path / "local")
    assert ran_as_jobs(tmp_path / "ray") and not ran_as_jobs(tmp_path / "local")
    assert not begun_again(tmp_path / "ray")
    assert "0 rows" not in ended.stderr
    again = call([*run, str(tmp_path / "ray/small")], tmp_path)
    assert "0 steps to train" in again.stderr


SHORT_STEPS = {"coarse": 400, "psnr": 400, "score": 60, "long": 600}
"""Of the stages of gunet_short, where it runs in small."""


def in_small() -> list[str]:
    """Return the options that shorten gunet_short: one seed, few steps, small and few images, no measured gates."""
    sets = [f"protocol.{name}.steps={steps}" for name, steps in SHORT_STEPS.items()]
    sets += [f"data.{split}.{what}" for split in ("train", "val", "test") for what in ("size=128", "count=4")]
    sets += [f"gates.{name}=null" for name in ("latency", "gpu_memory", "ram", "latency_here")]
    rows = [text for row in ROWS for text in ("--rows", row)]
    return ["--seeds", "0", *rows, *(text for change in sets for text in ("--set", change))]


@pytest.mark.torture
@pytest.mark.parametrize("name", ["small", "gunet_short"])
@needs_ray
@needs_namespace
def test_with_killed_nodes_the_weights_are_the_same(name: str, experiment_file: Path, tmp_path: Path) -> None:
    """Two nodes, one of them killed at random: the same bytes as a local run.

    Only what was in training at a kill began again, and each kill cost one stage at most.
    """
    if name == "small":
        longer = ["--set", "protocol.coarse.steps=1200", "--set", "protocol.psnr.steps=900"]
        run = ["run", str(experiment_file), *longer, "--output"]
    else:
        run = ["run", str(ROOT / "experiments/gunet_short.yaml"), *in_small(), "--output"]
    started = time.monotonic()
    call([sys.executable, "-m", "benchmark", *run, str(tmp_path / "local/small")], tmp_path)
    seconds = 1.2 * (time.monotonic() - started) / KILLS
    arguments = [str(KILLS), str(SEED), f"{seconds:.1f}", str(tmp_path / "ray/.stages")]
    driver = [sys.executable, str(ROOT / "tests/runner/ray_driver.py"), *arguments]
    ended = call([*NAMESPACE, *driver, *run, str(tmp_path / "ray/small"), "--executor", "ray"], tmp_path)
    kills = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"kill"')]
    weights, again = stage_weights(tmp_path / "ray"), begun_again(tmp_path / "ray")
    jobs = len([*(tmp_path / "ray/small/.jobs").glob("*.json")])
    in_flight = {key for kill in kills for key in kill["in_training"]}
    print(f"{name}: {len(weights)} stages, {jobs} notes of jobs, {len(kills)} kills; in training at kills:")
    print(f"{len(in_flight)} stages, of which {sum(again.values())} began again: {sorted(again)}")
    assert not any(kill["has_ended"] for kill in kills), "the kills came too late to show anything"
    assert in_flight, (
        "no stage was in training at a kill, which shows nothing; train longer or choose another KILL_SEED"
    )
    assert weights == stage_weights(tmp_path / "local")
    assert len(kills) == KILLS and jobs >= len(weights)
    assert again.keys() <= in_flight and sum(again.values()) <= KILLS
