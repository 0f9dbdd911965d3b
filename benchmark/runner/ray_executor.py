"""The Ray executor: every job is a task of a Ray cluster, which runs it in a process of its own (`ray_task.py`).

Tasks get ids and return exit codes; weights and results stay in the store, which all nodes must see. Ray repeats a task
whose node or worker died; what a job was about stands in the store, so a repeated job goes on from its stored state.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError, ProcessError, missing_packages
from benchmark.interrupts import interrupt_on_termination
from benchmark.processes import usable_cores
from benchmark.runner.context import Context
from benchmark.runner.events import JobDied, JobFailed, OnAnyEvent
from benchmark.runner.job_command import JobPlans, job_arguments
from benchmark.runner.jobs import Job, TrainStage
from benchmark.runner.outcome import Outcomes
from benchmark.runner.ray_task import carry_out, node_facts
from reports.schema import Failure

RETRIES = 3
"""How often Ray repeats a task whose node or worker died."""
_SUBMITTED_PER_SLOT = 2
"""More would wait in Ray, where a job that became more urgent cannot overtake them."""
_CONNECT_SECONDS, _PROBE_SECONDS, _PENDING_SECONDS, _POLL_SECONDS, _GRACE_SECONDS = 120.0, 120.0, 120.0, 5.0, 60.0
_CONNECT = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='error')"
_CPU, _GPU = "CPU", "GPU"


@dataclass(frozen=True)
class _Submitted:
    """A job that was given to Ray."""

    job: Job
    needs: Mapping[str, float]
    started: float


class RayExecutor:
    """Carries out jobs as tasks of a Ray cluster; see `benchmark.runner.executor.Executor`."""

    def __init__(self, context: Context, address: str | None, plans: JobPlans, workers: int | None = None) -> None:
        """Connect to a cluster, or start one on this machine, and compare the versions on all nodes.

        Args:
            context: Of the run.
            address: `HOST:PORT` of a cluster, or `auto`; None: one of this machine alone, which ends with the run.
            plans: Where the tasks read what to do.
            workers: How many jobs run side by side at most; None: as many as the cluster has room for.

        Raises:
            BenchmarkError: Ray is not installed, there is no such cluster, or a node has other versions.
        """
        self._ray = connect(address, context)
        self._context, self._plans, self._workers, self._outcomes = context, plans, workers, Outcomes(context)
        self._device = _GPU if context.machine.device.type == "cuda" else _CPU
        self._submitted: dict[Any, _Submitted] = {}
        self._refused: list[JobFailed] = []
        self._progress_at = time.monotonic()
        """When a job last ended, or nothing was waiting for free devices."""
        try:
            check_nodes(self._ray, plans.example)
            if not self._total(self._device):
                raise BenchmarkError(f"--executor ray: the cluster has no {self._device}, for which this plan is")
        except BaseException:
            self._ray.shutdown()
            raise

    @property
    def slots(self) -> int:
        """How many jobs of one device run side by side."""
        slots = max(1, int(self._total(self._device)))
        return min(slots, self._workers or slots)

    @property
    def has_room(self) -> bool:
        """Whether another job can be submitted."""
        return len(self._submitted) < _SUBMITTED_PER_SLOT * self.slots

    def start(self, job: Job) -> None:
        """Submit a job; one that no node can ever run fails in the next `wait`."""
        needs = self._needs(job)
        if reason := self._unmet(needs):
            self._refused.append(JobFailed(job.id, Failure(message=reason), ""))
            return
        options = {"num_cpus": needs[_CPU], "num_gpus": needs[_GPU], "max_retries": RETRIES, "max_calls": 1}
        task = self._ray.remote(**options)(carry_out)
        self._outcomes.begin(job)
        place = ["--device", self._context.machine.device.type]
        arguments = [*job_arguments(job, self._context, self._plans), *place]
        reference = task.remote(arguments, is_on_cpu=self._device == _CPU)
        self._submitted[reference] = _Submitted(job, needs, time.perf_counter())

    def wait(self, on_event: OnAnyEvent) -> None:
        """Wait until a job ends, and report it.

        Raises:
            ProcessError: Jobs stay pending although devices are free.
        """
        if self._refused:
            on_event(self._refused.pop(0))
            return
        ready, _ = self._ray.wait(list(self._submitted), num_returns=1, timeout=_POLL_SECONDS)
        for reference in ready:
            self._progress_at = time.monotonic()
            submitted = self._submitted.pop(reference)
            seconds = time.perf_counter() - submitted.started
            try:
                code, errors = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:  # its node or worker died, more often than Ray repeats it
                on_event(JobDied(submitted.job.id, f"Ray gave up: {str(error).splitlines()[0]}"))
            else:
                self._outcomes.report(submitted.job, code, errors, seconds, on_event)
        if not ready:
            self._check_pending()

    def close(self) -> None:
        """Stop the jobs that run, so that they store their state, and leave the cluster."""
        with suppress(self._ray.exceptions.RayError):
            for reference in self._submitted:
                self._ray.cancel(reference)
            if self._submitted:
                self._ray.wait(list(self._submitted), num_returns=len(self._submitted), timeout=_GRACE_SECONDS)
        self._ray.shutdown()

    def _needs(self, job: Job) -> dict[str, float]:
        """Return the CPUs and GPUs that a job takes on one node."""
        settings = job.stage.settings if isinstance(job, TrainStage) else None
        devices = settings.devices_per_stage if settings else 1
        if self._device == _GPU:
            return {_CPU: 0.0, _GPU: float(devices)}
        threads = settings.threads if settings and isinstance(settings.threads, int) else 1
        return {_CPU: float(threads * devices), _GPU: 0.0}

    def _unmet(self, needs: Mapping[str, float]) -> str | None:
        """Return why no node can run a job, however long it waits; None if one can."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0.0) >= amount for name, amount in needs.items()) for node in nodes):
            return None
        name, amount = max(needs.items(), key=lambda item: (item[0] == self._device, item[1]))
        largest = max((node.get(name, 0.0) for node in nodes), default=0.0)
        return f"needs {amount:g} {name} on one node of the Ray cluster, the largest has {largest:g}; lower it"

    def _check_pending(self) -> None:
        """Raise ProcessError if jobs have been pending for long although the devices they need are free."""
        least = min((each.needs[self._device] for each in self._submitted.values()), default=0.0)
        free = self._ray.available_resources().get(self._device, 0.0)
        used = sum(each.needs[self._device] for each in self._submitted.values())
        is_waiting = used > self._total(self._device) - free
        if not (is_waiting and free >= least > 0):
            self._progress_at = time.monotonic()
        elif time.monotonic() - self._progress_at > _PENDING_SECONDS:
            raise ProcessError(
                f"--executor ray: {len(self._submitted)} jobs are pending for {_PENDING_SECONDS:.0f} s although "
                f"{free:g} {self._device} are free; `ray status` and the logs of its workers say why"
            )

    def _total(self, name: str) -> float:
        return float(self._ray.cluster_resources().get(name, 0.0))


def connect(address: str | None, context: Context) -> Any:
    """Return the module `ray`, connected to a cluster; usage statistics are off and tokens are on.

    Raises:
        BenchmarkError: Ray is not installed, no token is known, or there is no such cluster.
    """
    if missing := missing_packages(["ray"], "ray"):
        raise BenchmarkError(f"--executor ray: {missing}")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray listens on the address of the host
    has_token = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or (
        Path.home() / ".ray/auth_token"
    ).exists()
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    elif os.environ["RAY_AUTH_MODE"] == "token" and not has_token:
        raise BenchmarkError(
            "--address: no token of the cluster is known; set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, "
            "or RAY_AUTH_MODE=disabled for a cluster without tokens"
        )
    elif not _can_connect(address):
        raise BenchmarkError(
            f"--address {address}: no Ray cluster answers within {_CONNECT_SECONDS:.0f} s; check the address, "
            "and that RAY_AUTH_TOKEN is that of the cluster"
        )
    ray: Any = import_module("ray")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        gpus = len(context.machine.devices) if context.machine.device.type == "cuda" else 0
        options |= {"num_cpus": usable_cores(), "num_gpus": gpus, "include_dashboard": False}
    ray.init(address=address or "local", **options)
    interrupt_on_termination()  # Ray has put its own handlers in place
    return ray


def _can_connect(address: str) -> bool:
    """Return whether a process can connect: with a wrong token, `ray.init` would wait for ever."""
    with suppress(subprocess.TimeoutExpired):
        command = [sys.executable, "-c", _CONNECT, address]
        return not subprocess.run(command, capture_output=True, timeout=_CONNECT_SECONDS, check=False).returncode
    return False


def check_nodes(ray: Any, plan_file: Path) -> None:
    """Compare Python, torch, the suite and a plan file of the run on all nodes with those of this process.

    Raises:
        BenchmarkError: With the node and what differs.
    """
    own, strategies = node_facts(str(plan_file.resolve())), import_module("ray.util.scheduling_strategies")
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    probes = {
        ray.remote(num_cpus=0, scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(id, soft=False))(
            node_facts
        ).remote(str(plan_file.resolve())): address
        for id, address in nodes.items()
    }
    for probe, address in probes.items():
        try:
            facts: dict[str, str] = ray.get(probe, timeout=_PROBE_SECONDS)
        except ray.exceptions.RayError as error:
            raise BenchmarkError(
                f"--executor ray: node {address} cannot run the suite ({str(error).strip().splitlines()[-1]}); "
                "install it there as here"
            ) from None
        for name, value in own.items():
            if facts[name] != value:
                raise BenchmarkError(
                    f"--executor ray: node {address} has {name} {facts[name]}, here it is {value}; "
                    "install the same there, and let all nodes see the folder of the run"
                )
