"""Processes: workers, fresh processes, and how many cores there are."""

import importlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.errors import DataError, ProcessError
from benchmark.processes import (
    Death,
    Worker,
    end_workers,
    interrupts_left_to_parent,
    map_in_processes,
    receive,
    run_in_fresh_process,
    usable_cores,
)

TARGETS = '''
import os, signal, time
from pathlib import Path
from benchmark.errors import DataError
from benchmark.interrupts import deferred_interrupts

def echo(channel, factor):
    for task in channel.tasks():
        channel.send((os.getpid(), task * factor))

def die(channel):
    for task in channel.tasks():
        channel.send("before")
        os.kill(os.getpid(), task) if task > 0 else os._exit(-task)

def train(channel, folder):
    """Ends between two steps, as training does, and stores its state."""
    channel.send(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
    with deferred_interrupts() as is_stopping:
        while not is_stopping():
            time.sleep(0.01)
    (Path(folder) / "state").write_text("stored")
    raise KeyboardInterrupt

def signals(channel):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    channel.send((signal.getsignal(signal.SIGINT) == signal.SIG_IGN, signal.SIGINT in blocked))

def sleep(channel, folder):
    try:
        channel.send("asleep")
        time.sleep(60)
    finally:
        (Path(folder) / "cleaned").touch()

def stubborn(channel):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel.send("deaf")
    time.sleep(60)

def chatter(channel, file):
    try:
        while True:
            channel.send("event")
            time.sleep(0.01)
    finally:
        Path(file).write_text("ended")

class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")

def fail(kind):
    if kind == "odd":
        raise OddError(1, 2)
    raise DataError("no such folder")

def fail_at_two(index):
    if index == 2:
        raise DataError("the third is damaged")
    return index

def die_at_two(index):
    if index == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return index

def setup_done():
    os.environ["SETUP"] = "done"

def read_setup(index):
    return os.environ["SETUP"]
'''


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions that worker processes can import."""
    (tmp_path / "process_targets.py").write_text(TARGETS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("process_targets", None)
    return importlib.import_module("process_targets")


def test_a_worker_keeps_its_process_from_task_to_task(targets: ModuleType) -> None:
    worker = Worker(targets.echo, 3)
    worker.send(2)
    assert receive([worker]) == [(worker, (worker.pid, 6))]
    assert receive([worker], timeout=0.05) == []
    worker.send(5)
    assert worker.receive() == (worker.pid, 15)
    worker.close()
    assert not Path(f"/proc/{worker.pid}").exists()


def test_the_death_of_a_worker_is_an_event_after_its_last_one(targets: ModuleType) -> None:
    """With its exit code or signal; other workers go on."""
    exiting, killed, sound = Worker(targets.die), Worker(targets.die), Worker(targets.echo, 1)
    exiting.send(-7)
    killed.send(signal.SIGKILL)
    events = {worker: [worker.receive(), worker.receive()] for worker in (exiting, killed)}
    assert events == {exiting: ["before", Death(7)], killed: ["before", Death(-signal.SIGKILL)]}
    assert str(events[exiting][1]) == "exit code 7"
    assert str(events[killed][1]) == "exit code -9; killed by SIGKILL, perhaps for lack of memory"
    killed.send(1)  # to a dead process: its death is reported again, nothing is raised
    assert killed.receive() == Death(-signal.SIGKILL)
    sound.send(1)
    assert sound.receive() == (sound.pid, 1)
    end_workers([exiting, killed, sound], grace_seconds=10)


def test_workers_end_between_two_steps_and_ctrl_c_does_not_reach_them(targets: ModuleType, tmp_path: Path) -> None:
    training, sleeping = Worker(targets.train, str(tmp_path)), Worker(targets.sleep, str(tmp_path))
    assert training.receive() is True and sleeping.receive() == "asleep"
    os.kill(training.pid, signal.SIGINT)
    assert receive([training, sleeping], timeout=0.3) == [] and not (tmp_path / "state").exists()
    end_workers([training, sleeping], grace_seconds=30)
    assert (tmp_path / "state").read_text() == "stored"
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("blocked", [True, False])
def test_ctrl_c_while_a_process_is_started_arrives_afterwards(targets: ModuleType, *, blocked: bool) -> None:
    """It is neither lost nor raised in the middle, also where the system hands it to another thread."""
    stop, steps, handler = threading.Event(), list[str](), signal.getsignal(signal.SIGINT)
    helper = threading.Thread(target=stop.wait)
    if not blocked:
        helper.start()  # before: it has no block, and takes the signal
    with pytest.raises(KeyboardInterrupt):
        with interrupts_left_to_parent():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            steps.append("started")
        steps.append("not reached")
    stop.set()
    assert steps == ["started"]
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    worker = Worker(targets.signals)
    assert worker.receive() == (True, False)  # it ignores Ctrl-C, and what it starts inherits no block
    worker.close()


def test_a_worker_that_does_not_end_in_time_is_killed(targets: ModuleType) -> None:
    worker = Worker(targets.stubborn)
    assert worker.receive() == "deaf"
    begin = time.monotonic()
    end_workers([worker], grace_seconds=0.2)
    assert 0.2 <= time.monotonic() - begin < 20 and not Path(f"/proc/{worker.pid}").exists()


def test_a_worker_ends_when_its_parent_was_killed(targets: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "outcome"
    program = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import os, signal, process_targets
from benchmark.processes import Worker
if __name__ == "__main__":
    worker = Worker(process_targets.chatter, {str(file)!r})
    worker.receive()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "parent.py").write_text(program)
    assert subprocess.run([sys.executable, str(tmp_path / "parent.py")], check=False).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert file.read_text() == "ended"


def test_a_fresh_process_returns_the_result_or_raises_what_the_function_raised(targets: ModuleType) -> None:
    first, second = run_in_fresh_process(os.getpid), run_in_fresh_process(os.getpid)
    assert len({first, second, os.getpid()}) == 3
    assert run_in_fresh_process(math.gcd, 12, 18) == 6
    with pytest.raises(DataError, match="no such folder"):
        run_in_fresh_process(targets.fail, "data")
    with pytest.raises(ProcessError, match="OddError: 1 and 2"):  # an exception that cannot be sent
        run_in_fresh_process(targets.fail, "odd")
    with pytest.raises(ProcessError, match=r"a process died \(exit code 7\)"):
        run_in_fresh_process(os._exit, 7)


def test_map_in_processes_keeps_the_order_and_raises_at_the_place_of_the_error(targets: ModuleType) -> None:
    assert list(map_in_processes(math.factorial, 9, 2)) == [math.factorial(index) for index in range(9)]
    assert list(map_in_processes(math.factorial, 0, 2)) == []
    assert list(map_in_processes(targets.read_setup, 2, 2, targets.setup_done)) == ["done", "done"]
    results = map_in_processes(targets.fail_at_two, 5, 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(DataError, match="the third is damaged"):
        next(results)
    with pytest.raises(ProcessError, match="SIGKILL"):
        list(map_in_processes(targets.die_at_two, 5, 2))


@pytest.mark.parametrize(
    ("membership", "files", "share"),
    [
        ("0::/\n", {"cpu.max": "100000 100000"}, 1),  # docker --cpus 1
        ("0::/\n", {"cpu.max": "250000 100000"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),  # less than a core is one
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),  # of the group above
        ("4:cpu,cpuacct:/docker/1\n", {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("4:cpu,cpuacct:/docker/1\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("4:cpuset:/\n", {"cpu.max": "100000 100000"}, None),
        ("0::/\n", {"cpu.max": "damaged"}, None),
        ("", {}, None),
    ],
)
def test_the_quota_of_a_container_limits_the_cores(
    membership: str, files: dict[str, str], share: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    assert usable_cores(tmp_path / "cgroup", tmp_path / "membership") == (share or 8)


def test_cores_are_those_of_the_cpu_set_where_no_group_says_less(tmp_path: Path) -> None:
    assert usable_cores(tmp_path, tmp_path / "missing") == len(os.sched_getaffinity(0))
