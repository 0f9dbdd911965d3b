"""The local executor: rows side by side in processes of this machine.

Rows that share a stage form a group and run one after the other, so no stage is waited for or trained twice. On few
cores, two rows with one thread each train half as much again as one row with two (measured with the small networks),
and do not suffer when other programs take a core for a moment. The number of workers follows from the plan, not from
what is left of it: a run that is taken up again uses the same threads and computes the same bits.
"""

import dataclasses
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from benchmark.experiment.plan import Plan, Run
from benchmark.processes import interrupts_left_to_parent
from benchmark.runner.context import Context
from benchmark.runner.device_setup import prepare_machine
from benchmark.runner.memory_preflight import machine_bytes, needed_bytes
from benchmark.runner.progress_events import Event, RowFinished
from benchmark.runner.row import Measured, fail_row, run_row
from reports.schema import Record


@dataclass(frozen=True)
class Task:
    """One row with one seed, and what is known of its network."""

    run: Run
    measured: Measured | str
    """Or why that could not be measured; then the row has failed."""
    refused: str | None = None
    """Why it is not to be run although its network is sound; then the row has failed, too."""
    is_trial: bool = False
    """A trial of a search: every gate it fails rejects it, and test is not read."""


_GRACE_SECONDS = 60.0
"""For a step of training and for storing its state, when the command is interrupted."""

Group = tuple[Task, ...]
Take = Callable[[], Group | None]
"""Gives the next group, or None if there is none for now; asked again after whatever happens while others run."""


def group_runs(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Runs that share their first stage together, in the order of the plan; what trains nothing shares nothing."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.stages[0].key if run.stages else run.folder, []).append(run)
    return [tuple(group) for group in groups.values()]


def worker_count(plan: Plan, context: Context) -> int:
    """One worker a core, but no more than there are groups in the plan or fit into memory; a GPU is not shared."""
    if context.machine.device.type != "cpu":
        return 1
    in_memory = machine_bytes(context.machine) // max(1, _most_demanding(plan, context))
    return max(1, min(context.machine.threads, len(group_runs(plan.runs)), in_memory))


def _most_demanding(plan: Plan, context: Context) -> int:
    """Bytes that the most demanding row which fits at all needs; rows that do not are not trained."""
    needs = (needed_bytes(run, run.stages, context.registry)[0] for run in plan.runs if run.stages)
    return max((needed for needed in needs if needed <= machine_bytes(context.machine)), default=0)


def run_groups(groups: Sequence[Group], experiment: str, context: Context, workers: int) -> Iterator[Event]:
    """Run all groups with this many workers, or in this process if it is one."""
    yield from run_as_taken(partial(next, iter(groups), None), experiment, context, workers)


def run_as_taken(take: Take, experiment: str, context: Context, workers: int) -> Iterator[Event]:
    """Run what `take` gives with this many workers, until it gives nothing and nothing runs."""
    if workers == 1:
        while group := take():
            yield from run_group(group, experiment, context)
    else:
        yield from _Pool(experiment, context, max(1, context.machine.threads // workers), take).run(workers)


def run_group(group: Group, experiment: str, context: Context) -> Iterator[Event]:
    """The rows of a group, one after the other."""
    broken: dict[str, str] = {}
    for task in group:
        for event in _run_task(task, experiment, context, broken):
            if isinstance(event, RowFinished):
                broken |= broken_stage(task.run, event.record)
            yield event


def _run_task(task: Task, experiment: str, context: Context, broken: Mapping[str, str]) -> Iterator[Event]:
    if isinstance(task.measured, str):
        return fail_row(task.run, experiment, context, None, task.measured)
    if task.refused is not None:
        return fail_row(task.run, experiment, context, task.measured, task.refused)
    return run_row(task.run, experiment, context, task.measured, broken, is_trial=task.is_trial)


def broken_stage(run: Run, record: Record) -> dict[str, str]:
    """Key and message of the stage in which a row diverged; it would diverge again in every row that shares it."""
    error = record.error
    return {stage.key: error.message for stage in run.stages if error and stage.name == error.stage}


@dataclass
class _Worker:
    """A process, our end of its pipe, and the part of its group that is not done, the running row first."""

    process: BaseProcess
    connection: Connection
    group: Group


@dataclass(frozen=True)
class _Pool:
    experiment: str
    context: Context
    threads: int
    take: Take

    def run(self, workers: int) -> Iterator[Event]:
        waiting: list[Group] = []  # what is left of the groups of workers that died
        busy: list[_Worker] = []
        try:
            while True:
                while len(busy) < workers and (group := self._next(waiting)):
                    busy.append(self._start(group))
                if not busy:
                    return
                for worker in _ready(busy):
                    yield from self._listen(worker, waiting)
                    if not worker.group:
                        busy.remove(worker)
                        busy += self._go_on(worker, waiting)
        finally:
            _end([worker.process for worker in busy])

    def _next(self, waiting: list[Group]) -> Group | None:
        return waiting.pop(0) if waiting else self.take()

    def _listen(self, worker: _Worker, waiting: list[Group]) -> Iterator[Event]:
        """Pass on what a worker says. If its process died, its row failed; the rest of its group waits again."""
        try:
            event: Event = worker.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            worker.process.join()
            code = worker.process.exitcode
            why = "; killed, perhaps for want of memory" if code == -signal.SIGKILL else ""
            task = worker.group[0]
            reason = f"its process died (exit code {code}{why})"
            measured = task.measured if isinstance(task.measured, Measured) else None
            yield from fail_row(task.run, self.experiment, self.context, measured, reason)
            if worker.group[1:]:
                waiting.insert(0, worker.group[1:])
            worker.group = ()
            return
        if isinstance(event, RowFinished):
            worker.group = worker.group[1:]
        yield event

    def _go_on(self, worker: _Worker, waiting: list[Group]) -> list[_Worker]:
        """What a worker without a group does next: another group, in a new process if its own died, or nothing."""
        group = self._next(waiting)
        if group is None:
            with suppress(OSError):  # it may be dead already
                worker.connection.send(None)
            worker.process.join()
            return []
        try:
            worker.connection.send(group)
        except OSError:
            return [self._start(group)]
        worker.group = group
        return [worker]

    def _start(self, group: Group) -> _Worker:
        # A fresh process: forking one that already runs threads of torch can hang.
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe()
        arguments = (theirs, self.experiment, self.context, self.threads)
        process = spawning.Process(target=_work, args=arguments, daemon=True)
        with interrupts_left_to_parent():
            process.start()
        theirs.close()  # else the pipe would stay open when the process dies
        ours.send(group)
        return _Worker(process, ours, group)


def _end(processes: Sequence[BaseProcess]) -> None:
    """Ask the processes to stop; those that train store their state first. Whoever takes too long is killed."""
    try:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(_GRACE_SECONDS)
    finally:  # also if the user has no patience
        for process in processes:
            process.kill()
            process.join()


def _ready(busy: Sequence[_Worker]) -> list[_Worker]:
    """The workers that have something to say, or have died; waits until there is one."""
    ready = wait([worker.connection for worker in busy])
    return [worker for worker in busy if worker.connection in ready]


def _work(connection: Connection, experiment: str, context: Context, threads: int) -> None:
    """A worker: runs group after group and says what happens; ends when told to, or when nobody listens any more."""
    machine = prepare_machine(str(context.machine.device), threads)
    context = dataclasses.replace(context, machine=machine)
    try:
        while (group := connection.recv()) is not None:
            for event in run_group(group, experiment, context):
                connection.send(event)
    except (EOFError, OSError):  # nobody listens any more
        return
    except KeyboardInterrupt:  # asked to stop; the state of what was trained is stored
        return
