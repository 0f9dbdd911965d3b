"""The local executor: runs jobs in processes of this machine, or in this process.

Small stages have one thread each, so rows that run side by side fill the cores: two rows with one thread train half as
much again as one row with two (measured with the small networks), and suffer less when other programs take a core.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice

from benchmark.experiment.plan import Plan, PlannedStage
from benchmark.inference.device_setup import prepare_machine
from benchmark.processes import Channel, Death, Worker, end_workers, receive
from benchmark.runner.context import Context
from benchmark.runner.events import JobDied, JobEnded, JobEvent, JobStarted, OnAnyEvent
from benchmark.runner.jobs import Job, MeasureNetwork, TrainStage, run_job
from benchmark.runner.preflight import machine_bytes, needed_bytes

_GRACE_SECONDS = 60.0
"""For a training step and for storing its state, when the command is interrupted."""


def worker_devices(
    plan: Plan, context: Context, *, independent: int | None = None, workers: int | None = None
) -> tuple[str, ...]:
    """Return the device of each worker that a plan is run with.

    On CPUs as many workers as the cores can run with the threads of the stages, but no more than jobs of the plan can
    run side by side, or than fit into memory. On GPUs one worker for each device that the machine names.

    Args:
        plan: The whole plan.
        context: Machine and components.
        independent: Number of jobs that can run side by side; None: one for each row that ends with its own stage.
        workers: Number of workers that the user asks for, spread over the devices; None: as above.
    """
    machine = context.machine
    devices = machine.devices or (str(machine.device),)
    if workers:
        return tuple(islice(cycle(devices), workers))
    independent = max(1, independent or _side_by_side(plan))
    if machine.device.type != "cpu":
        return devices[: independent * max((_devices_of(stage) for stage in plan.stages.values()), default=1)]
    # Rows that do not fit at all are not trained.
    needs = (needed_bytes(row, row.stages, context.registry)[0] for row in plan.rows if row.stages)
    memory = machine_bytes(machine)
    most_demanding = max((needed for needed in needs if needed <= memory), default=0)
    threads = [int(stage.settings.threads) for row in plan.rows for stage in row.stages]
    by_cores = machine.threads // max(threads, default=1)
    return ("cpu",) * max(1, min(by_cores, independent, memory // max(1, most_demanding)))


def _devices_of(stage: PlannedStage) -> int:
    return stage.settings.devices_per_stage


def _side_by_side(plan: Plan) -> int:
    """Return how many jobs can run at the same time at most: stages that no other stage needs, and untrained rows."""
    parents = {stage.parent for row in plan.rows for stage in row.stages}
    untrained = sum(not row.stages for row in plan.rows)
    return len(plan.stages.keys() - parents) + untrained


class LocalExecutor:
    """Runs one job at a time on each of its devices, until it is closed.

    With one device, jobs run in this process. A MeasureNetwork always does: it is timed with all threads. A stage on
    several devices has as many slots; until so many are free, no other job is started.
    """

    def __init__(self, context: Context, devices: Sequence[str]) -> None:
        """Start no process yet. `devices`: of each worker; they share the threads of the machine."""
        self._context, self._devices = context, devices
        self._threads = max(1, context.machine.threads // len(devices))
        self._workers: list[Worker | None] = [None] * len(devices)
        self._jobs: dict[int, Job] = {}
        """By slot; a job on several devices stands at each of them, and its process belongs to the first."""
        self._reserved: Job | None = None
        """Waits until enough slots are free."""
        self._started: list[int] = []
        """Slots whose job is yet to be reported as started."""
        self._own_job: Job | None = None

    def close(self) -> None:
        """Let idle processes end; ask those with a job to stop, so that they store their state."""
        workers = [(slot, worker) for slot, worker in enumerate(self._workers) if worker]
        end_workers([worker for slot, worker in workers if slot in self._jobs], _GRACE_SECONDS)
        for slot, worker in workers:
            if slot not in self._jobs:
                worker.close()

    @property
    def slots(self) -> int:
        """How many jobs run side by side."""
        return len(self._devices)

    @property
    def has_room(self) -> bool:
        """Whether another job can be started."""
        return self._own_job is None and self._reserved is None and len(self._jobs) < len(self._devices)

    def start(self, job: Job) -> None:
        """Start a job. If it runs in this process, it does so in the next `wait`."""
        if len(self._devices) == 1 or isinstance(job, MeasureNetwork):
            self._own_job = job
            return
        needed = min(_devices_of(job.stage) if isinstance(job, TrainStage) else 1, len(self._devices))
        free = [slot for slot in range(len(self._devices)) if slot not in self._jobs]
        if len(free) < needed:
            self._reserved = job
            return
        slot, slots = free[0], free[:needed]
        worker = self._workers[slot] or Worker(_work, self._context, self._devices[slot], self._threads)
        self._workers[slot] = worker
        self._jobs |= dict.fromkeys(slots, job)
        self._started.append(slot)
        worker.send((job, tuple(self._devices[each] for each in slots)))

    def wait(self, on_event: OnAnyEvent) -> None:
        """Wait until something happens, and report it. Each job ends with a JobEvent."""
        if self._own_job:
            job, self._own_job = self._own_job, None
            on_event(_started(job, self._name(0)))
            run_job(job, self._context, on_event)
            on_event(JobEnded(job.row.folder, self._name(0)))
            return
        while self._started:
            slot = self._started.pop(0)
            on_event(_started(self._jobs[slot], self._name(slot)))
        busy = {worker: slot for slot, worker in enumerate(self._workers) if worker and slot in self._jobs}
        for worker, event in receive(busy):
            if isinstance(event, Death):
                self._workers[busy[worker]] = None
                event = JobDied(self._jobs[busy[worker]].id, f"its process died ({event})")
            if isinstance(event, JobEvent):
                job = self._jobs[busy[worker]]
                self._jobs = {slot: other for slot, other in self._jobs.items() if other is not job}
                on_event(JobEnded(job.row.folder, self._name(busy[worker])))
            on_event(event)
        if self._reserved:
            job, self._reserved = self._reserved, None
            self.start(job)

    def _name(self, slot: int) -> str:
        """Return the name of a worker's device, with a number where it has several workers."""
        device = self._devices[slot]
        return f"{device} {slot + 1}" if Counter(self._devices)[device] > 1 else device


def _started(job: Job, device: str) -> JobStarted:
    work = job.stage.name if isinstance(job, TrainStage) else "measure" if isinstance(job, MeasureNetwork) else "test"
    return JobStarted(job.row.folder, work, device)


def _work(channel: Channel, context: Context, device: str, threads: int) -> None:
    """Carry out jobs in a worker process."""
    machine = prepare_machine(device, threads)
    for job, devices in channel.tasks():
        run_job(job, dataclasses.replace(context, machine=dataclasses.replace(machine, devices=devices)), channel.send)
