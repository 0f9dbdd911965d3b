"""Train one stage in several processes of this machine, one for each device (`devices_per_stage`).

This process holds the lease of the stage and starts torch's elastic launcher, which starts the ranks (`rank.py`). Each
rank connects to a socket in a folder that only this user may enter. Over it comes the work, and go events and the end.
A rank whose connection breaks ends at once, so nobody trains a stage without its lease. The launcher never restarts
ranks: the scheduler starts the stage again, from its stored state.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import ExperimentError, ProcessError
from benchmark.experiment.plan import PlannedRow, PlannedStage
from benchmark.inference.device_setup import Machine
from benchmark.interrupts import deferred_interrupts
from benchmark.lease import Lease
from benchmark.processes import interrupts_left_to_parent
from benchmark.runner.context import Context
from benchmark.runner.events import JobDied, JobEvent, JobFailed, JobStopped, OnAnyEvent

_POLL_SECONDS = 0.2
_START_SECONDS = 600.0
"""For all ranks to import torch and to connect, on a machine that is busy."""
_EXIT_SECONDS = 10.0
"""For the launcher to end once all ranks have reported their end."""
_LONGEST_FOLDER = 80
"""Characters of the folder for temporary files: the path of a socket may have 107."""


@dataclass(frozen=True)
class RankTask:
    """What a rank is to do; everything but its number and its device is the same for all."""

    context: Context
    row: PlannedRow
    stage: PlannedStage
    lease: Lease
    """A copy, which checks the lease and gives no heartbeat."""
    devices: tuple[str, ...]


@dataclass(frozen=True)
class RankDone:
    """A rank has done its work: the stage is stored."""


@dataclass(frozen=True)
class RankInterrupted:
    """A rank stopped because of an interrupt; the state is stored."""


class RankFailure(Exception):  # noqa: N818  # no error of its own: it brings the end of a job from a rank to `run_job`
    """A rank ended as `end` says."""

    def __init__(self, end: JobEvent) -> None:
        super().__init__(end)
        self.end = end


def devices_of_ranks(machine: Machine, count: int) -> tuple[str, ...]:
    """Return the device of each rank: the CPU for all, or the GPUs of the job; else that of this process and the next.

    Raises:
        ExperimentError: There are fewer GPUs.
    """
    if machine.device.type == "cpu":
        return ("cpu",) * count
    first, available = machine.device.index or 0, torch.cuda.device_count()
    devices = machine.devices or tuple(f"cuda:{index}" for index in range(first, available))
    if len(devices) < count:
        raise ExperimentError(
            f"devices_per_stage is {count}, and this job has {len(devices)} of the {available} CUDA devices of this "
            "machine; lower it, give --devices more, or run on a machine that has them"
        )
    return devices[:count]


def train_on_ranks(
    row: PlannedRow, planned: PlannedStage, lease: Lease, context: Context, on_event: OnAnyEvent
) -> None:
    """Train a stage as `stage.train_stage` does, on `devices_per_stage` devices.

    Raises:
        KeyboardInterrupt: An interrupt came; the state is stored.
        RankFailure: A rank failed or died.
        ProcessError: The ranks could not be started.
    """
    devices = devices_of_ranks(context.machine, planned.settings.devices_per_stage)
    task = RankTask(context, row, planned, lease, devices)
    with deferred_interrupts() as is_stopping:
        try:
            with _launched(len(devices), int(planned.settings.threads)) as connections:
                for connection in connections:
                    with suppress(OSError):  # it is dead already, which `_relay` sees
                        connection.send(task)
                _relay(connections, on_event, is_stopping)
        except (RankFailure, ProcessError):
            if not is_stopping():  # else what stopped this process may have ended launcher and ranks, too
                raise
    if is_stopping():
        raise KeyboardInterrupt


def _relay(connections: Sequence[Connection], on_event: OnAnyEvent, is_stopping: Callable[[], bool]) -> None:
    """Pass on what the ranks report, and to them that they are to stop; return when all have ended in order.

    Raises:
        RankFailure: A rank failed or died. The first one is the cause; others may only have lost their partner.
    """
    open_connections, has_sent_stop = list(connections), False
    while open_connections:
        if is_stopping() and not has_sent_stop:
            has_sent_stop = True
            for connection in open_connections:
                with suppress(OSError):  # it has just ended
                    connection.send("stop")
        ready = wait(open_connections, _POLL_SECONDS)
        events = [(_receive(connection), connection) for connection in open_connections if connection in ready]
        # Deaths first: a rank that lost its partner reports a failure at almost the same time.
        for event, connection in sorted(events, key=lambda item: not isinstance(item[0], JobDied)):
            match event:
                case JobFailed() | JobDied() | JobStopped():
                    raise RankFailure(event)
                case RankDone() | RankInterrupted():
                    open_connections.remove(connection)
                case _:
                    on_event(event)


def _receive(connection: Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return JobDied("", "the process of a rank died")


@contextmanager
def _launched(count: int, threads: int) -> Generator[Sequence[Connection]]:
    """Start ranks; yield the connections to them. At the end they have ended, or are ended."""
    is_too_long = len(tempfile.gettempdir()) > _LONGEST_FOLDER
    folder = Path(tempfile.mkdtemp(prefix="ranks-", dir="/tmp" if is_too_long else None))  # nobody else may enter it
    connections: list[Connection] = []
    launcher: subprocess.Popen[bytes] | None = None
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "socket"))
            server.listen(count)
            server.settimeout(_POLL_SECONDS)
            launcher = _start_launcher(folder, count, threads)
            _accept(server, count, launcher, folder / "log", connections)
        yield connections
        with suppress(subprocess.TimeoutExpired):
            launcher.wait(_EXIT_SECONDS)
    finally:
        for connection in connections:  # which ends a rank that still runs
            connection.close()
        if launcher is not None:
            launcher.kill()
            launcher.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start_launcher(folder: Path, count: int, threads: int) -> "subprocess.Popen[bytes]":
    """Start torch's launcher for ranks of this machine alone; it and they write into `log` in the folder."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=0"),
        *(f"--nproc-per-node={count}", "--local-addr=127.0.0.1", "--monitor-interval=0.1"),
        *("--module", "benchmark.runner.rank", str(folder / "socket")),
    ]
    environment = {
        # On this machine only: gloo and NCCL listen on the loopback, whatever the name of the host resolves to.
        **({"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONSAFEPATH": "1",  # a folder where the user happens to be holds none of our modules
        "OMP_NUM_THREADS": str(threads),
    }
    with interrupts_left_to_parent(), (folder / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _accept(
    server: socket.socket, count: int, launcher: "subprocess.Popen[bytes]", log: Path, connections: list[Connection]
) -> None:
    """Append the connections of all ranks. Raises ProcessError if they do not come."""
    attempts = int(_START_SECONDS / _POLL_SECONDS)
    while len(connections) < count and launcher.poll() is None and (attempts := attempts - 1):
        with suppress(TimeoutError):
            connections.append(Connection(server.accept()[0].detach()))
    if len(connections) < count:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        errors = [line.strip() for line in lines if "Error" in line]
        reason = errors[0] if errors else "no reason is known"
        raise ProcessError(f"the {count} processes of a stage with devices_per_stage could not be started: {reason}")
