"""Start processes in two modes: persistent workers that report events, and a fresh process for one call.

Every process is spawned: a forked copy of a process that already runs threads of torch can hang. A terminal sends
Ctrl-C to all processes of a command; the processes started here ignore it from their first moment on, and their parent
decides what becomes of them.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from benchmark.errors import ProcessError
from benchmark.interrupts import EXIT_RESUME, interrupt_on_termination

Result = TypeVar("Result")

_EXIT_SECONDS = 10.0
"""For a process that has closed its pipe to end by itself."""


class Channel:
    """A worker's end of its pipe: it receives tasks and sends events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tasks(self) -> Iterator[Any]:
        """Yield the objects that the parent sends, until it closes the worker or is gone."""
        with suppress(EOFError, OSError):
            while True:
                yield self._connection.recv()

    def send(self, event: Any) -> None:
        """Send an object to the parent.

        Raises:
            SystemExit: The parent is gone. It is no OSError, which a task would take for its own and record.
        """
        try:
            self._connection.send(event)
        except OSError:
            sys.exit(EXIT_RESUME)


@dataclass(frozen=True)
class Death:
    """How a worker's process ended although nobody closed it."""

    exit_code: int
    """Negative: the number of the signal that killed it."""

    def __str__(self) -> str:
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        names = {each.value: each.name for each in signal.Signals}
        killer = names.get(-self.exit_code, f"signal {-self.exit_code}")
        hint = ", perhaps for lack of memory" if killer == "SIGKILL" else ""
        return f"exit code {self.exit_code}; killed by {killer}{hint}"


class Worker:
    """A persistent process that carries out tasks and reports events."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        """Start a process that calls `target(channel, *arguments)`.

        Args:
            target: A function of a module; it takes tasks from `channel.tasks()` and reports with `channel.send`.
            arguments: Further arguments, which must be picklable.
        """
        context = multiprocessing.get_context("spawn")
        self.connection, worker_end = context.Pipe()
        """The parent's end of the pipe, for `multiprocessing.connection.wait` beside other connections."""
        self._process = context.Process(target=_run_worker, args=(worker_end, target, arguments), daemon=True)
        with interrupts_left_to_parent():
            self._process.start()
        worker_end.close()  # else the pipe would stay open when the process dies

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid or 0

    def send(self, task: Any) -> None:
        """Send a task to a worker that has none. If its process is dead, the next `receive` returns its death."""
        with suppress(OSError):
            self.connection.send(task)

    def receive(self) -> Any:
        """Return the next event, or a `Death` if the process died; wait for one of them."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of an event
            self._process.join(_EXIT_SECONDS)
            self._process.kill()
            self._process.join()
            return Death(self._process.exitcode or 0)

    def close(self) -> None:
        """Let the worker end after the tasks it was sent, and wait until it has."""
        self.connection.close()
        self._process.join()

    def terminate(self) -> None:
        """Ask the process to stop, as Ctrl-C would; returns at once."""
        self._process.terminate()

    def kill(self, grace_seconds: float = 0.0) -> None:
        """Kill the process if it has not ended after `grace_seconds`; return when it is gone."""
        try:
            self._process.join(grace_seconds)
        finally:  # also if the user has no patience
            self._process.kill()
            self._process.join()
            self.connection.close()


def receive(workers: Iterable[Worker], timeout: float | None = None) -> list[tuple[Worker, Any]]:
    """Wait until workers report or die; return one event, or the `Death`, of each that did.

    Args:
        workers: The workers to listen to.
        timeout: Seconds after which the list is returned empty; None waits for ever.
    """
    by_connection = {worker.connection: worker for worker in workers}
    ready = wait(list(by_connection), timeout)
    return [(worker, worker.receive()) for connection, worker in by_connection.items() if connection in ready]


def end_workers(workers: Sequence[Worker], grace_seconds: float) -> None:
    """Ask workers to stop, so that they can store their state; kill those that still run after `grace_seconds`."""
    deadline = time.monotonic() + grace_seconds
    for worker in workers:
        worker.terminate()
    try:
        for worker in workers:
            worker.kill(max(0.0, deadline - time.monotonic()))
    finally:  # also if the user has no patience
        for worker in workers:
            worker.kill()


def run_in_fresh_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return `function(*arguments)`, computed in a process that does nothing else; all must be picklable.

    Raises:
        ProcessError: The process died.
        Exception: What the function raised.
    """
    (result,) = map_in_processes(partial(_call, function, arguments), count=1, workers=1)
    return result


def map_in_processes(
    function: Callable[[int], Result], count: int, workers: int, setup: Callable[[], None] | None = None
) -> Iterator[Result]:
    """Yield `function(0)`, ..., `function(count - 1)` in this order, computed by several processes.

    Args:
        function: Is sent once to each process, so it may be large.
        count: Number of calls.
        workers: Number of processes.
        setup: Called in each process before `function` is unpickled, e.g. to load the plugin that defines it.

    Raises:
        ProcessError: A process died.
        Exception: What the function raised.
    """
    pickled = pickle.dumps(function)
    pool = [Worker(_map_indices, setup, pickled) for _ in range(min(workers, count))]
    indices = iter(range(count))
    results: dict[int, tuple[Any, Exception | None]] = {}
    try:
        for worker in [*pool, *pool]:  # two calls ahead: a worker need not wait for its parent
            _send_next(worker, indices)
        for index in range(count):
            while index not in results:
                for worker, event in receive(pool):
                    if isinstance(event, Death):
                        event = index, None, ProcessError(f"a process died ({event})")
                    results[event[0]] = event[1:]
                    _send_next(worker, indices)
            result, error = results.pop(index)
            if error:
                raise error
            yield result
    finally:
        end_workers(pool, grace_seconds=1.0)


@contextmanager
def interrupts_left_to_parent() -> Generator[None]:
    """Hold back Ctrl-C from processes that are started inside, and from this one until the end: then it arrives.

    The processes inherit the block of the signal, and lift it once they ignore the signal.
    """
    resource_tracker.ensure_running()  # started inside, it would lift the block
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _noted_interrupts():  # the system may hand the signal to another thread, and Python to this one
            yield
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _noted_interrupts() -> Generator[None]:
    """Note a Ctrl-C inside, and send it again at the end. Only the main thread has it, and may set handlers."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:  # None: installed by C code
        yield
        return
    came = threading.Event()
    signal.signal(signal.SIGINT, lambda _number, _frame: came.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came.is_set():
            signal.raise_signal(signal.SIGINT)


def usable_cores(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return the number of cores this process may use, at least 1.

    A container may have fewer than the machine: by its CPU set (`docker --cpuset-cpus`), or by its share of CPU time
    (`docker --cpus`; the quota of cgroup v1 or v2, rounded down).

    Args:
        cgroups: Where the control groups are mounted.
        membership: File that names the control groups of this process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *_cpu_quotas(cgroups, membership)])))


def _cpu_quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of this process's control groups and of all groups above them."""
    lines = membership.read_text().splitlines() if membership.exists() else []
    for line in lines:  # e.g. `0::/user.slice` (version 2) or `4:cpu,cpuacct:/docker/0123` (version 1)
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / "cpu" if controllers else cgroups
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # in a container, the first ones often do not exist; `max` is no number
                quota, period = map(int, " ".join((root / folder / file).read_text() for file in files).split())
                if quota > 0:  # version 1 writes -1 for no limit
                    yield quota / period


def _run_worker(connection: Connection, target: Callable[..., None], arguments: Sequence[Any]) -> None:
    """Run a worker process from its first moment to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # one that came in the meantime is ignored, too
    interrupt_on_termination()
    try:
        target(Channel(connection), *arguments)
    except KeyboardInterrupt:  # SIGTERM; what a task wants to keep is stored
        sys.exit(EXIT_RESUME)


def _call(function: Callable[..., Result], arguments: Sequence[Any], _index: int) -> Result:
    return function(*arguments)


def _map_indices(channel: Channel, setup: Callable[[], None] | None, pickled: bytes) -> None:
    if setup is not None:
        setup()
    function: Callable[[int], Any] = pickle.loads(pickled)
    for index in channel.tasks():
        channel.send((index, *_outcome(function, index)))


def _send_next(worker: Worker, indices: Iterator[int]) -> None:
    index = next(indices, None)
    if index is not None:
        worker.send(index)


def _outcome(function: Callable[[int], Any], index: int) -> tuple[Any, Exception | None]:
    """Return the result of a call and the exception it raised: one that can be pickled."""
    try:
        return function(index), None
    except Exception as error:
        try:
            return None, pickle.loads(pickle.dumps(error))
        except Exception:
            return None, ProcessError(f"{type(error).__name__}: {error}")
