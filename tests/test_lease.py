"""Leases: one owner at a time, takeover from the dead, and a fence against the paused."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from benchmark.lease import LeaseFolder, LeaseLost

BEAT, STALE = 0.1, 0.8

OWNER = """
import sys, time
from pathlib import Path
from benchmark.lease import LeaseFolder, LeaseLost
lease = LeaseFolder(Path(sys.argv[1]), 0.1, 0.8).acquire("key")
print(lease.number if lease else 0, flush=True)
sys.stdin.readline()
try:
    lease.check()
    print("current", flush=True)
except LeaseLost:
    print("lost", flush=True)
"""

CONTENDER = """
import os, sys, time
from pathlib import Path
from benchmark.lease import LeaseFolder
root = Path(sys.argv[1])
leases = LeaseFolder(root, 0.1, 0.8)
while not (root / "begin").exists():
    time.sleep(0.001)
for key in range(int(sys.argv[2])):
    with leases.hold(f"key{key}") as lease:
        if lease is not None and not (root / f"done{key}").exists():
            (root / f"done{key}").touch()
            print(key, flush=True)
"""

Start = Callable[..., "Popen[str]"]


@pytest.fixture
def start() -> Generator[Start]:
    """Starts a program in a process of its own, which is killed at the end of the test."""
    with ExitStack() as stack:

        def started(program: str, *arguments: object) -> "Popen[str]":
            process: Popen[str] = Popen(
                [sys.executable, "-c", program, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


def line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_lease_has_one_owner_until_it_is_released(tmp_path: Path) -> None:
    leases, others = LeaseFolder(tmp_path / "leases"), LeaseFolder(tmp_path / "leases")
    with leases.hold("key") as lease:
        assert lease is not None and lease.number == 1
        lease.check()
        assert others.acquire("key") is None and leases.acquire("key") is None
        with others.hold("other") as other:
            assert other is not None and other.number == 1
    with others.hold("key") as lease:
        assert lease is not None and lease.number == 2


def test_a_killed_owner_on_this_host_is_replaced_at_once(tmp_path: Path, start: Start) -> None:
    """Also while its parent has not yet asked for its exit code; nobody waits until the lease is stale."""
    owner, patient = start(OWNER, tmp_path), LeaseFolder(tmp_path)  # stale after a minute
    assert line(owner) == "1"
    assert patient.acquire("key") is None and patient.acquire_patiently("key") is None
    owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (lease := patient.acquire("key")) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lease is not None and lease.number == 2
    lease.release()


def test_another_process_with_the_pid_of_the_owner_is_not_the_owner(tmp_path: Path, start: Start) -> None:
    owner = start(OWNER, tmp_path)
    assert line(owner) == "1"
    owner.send_signal(signal.SIGSTOP)
    written = json.loads((tmp_path / "key.1").read_text())
    (tmp_path / "key.1").write_text(json.dumps({**written, "started": written["started"] - 1}))
    lease = LeaseFolder(tmp_path).acquire("key")
    assert lease is not None and lease.number == 2
    lease.release()


def other_host(owner: dict[str, Any]) -> dict[str, Any]:
    return {**owner, "host": "another"}


def test_an_owner_on_another_host_keeps_the_lease_as_long_as_it_gives_heartbeats(tmp_path: Path, start: Start) -> None:
    owner = start(OWNER, tmp_path)
    assert line(owner) == "1"
    file = tmp_path / "key.1"
    file.write_text(json.dumps(other_host(json.loads(file.read_text()))))
    leases = LeaseFolder(tmp_path, BEAT, STALE)
    deadline = time.monotonic() + 2 * STALE
    while time.monotonic() < deadline:
        assert leases.acquire("key") is None
        time.sleep(0.05)
    assert LeaseFolder(tmp_path, BEAT, STALE).acquire_patiently("key", 0.05) is None  # after the first heartbeat
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    begin = time.monotonic()
    lease = LeaseFolder(tmp_path, BEAT, STALE).acquire_patiently("key", 0.05)
    assert lease is not None and lease.number == 2
    assert time.monotonic() - begin >= STALE - 2 * BEAT
    lease.release()


def test_a_lease_file_without_an_owner_becomes_stale(tmp_path: Path) -> None:
    """Its process was killed between making the file and writing into it."""
    (tmp_path / "key.1").touch()
    begin = time.monotonic()
    lease = LeaseFolder(tmp_path, BEAT, STALE).acquire_patiently("key", 0.05)
    assert lease is not None and lease.number == 2 and time.monotonic() - begin >= STALE
    lease.release()


def test_a_paused_owner_is_fenced_off(tmp_path: Path, start: Start) -> None:
    """It wakes up after a takeover, finds that its lease is lost, and its heartbeat does not bring it back."""
    owner = start(OWNER, tmp_path)
    assert line(owner) == "1"
    owner.send_signal(signal.SIGSTOP)
    leases = LeaseFolder(tmp_path, BEAT, STALE)
    deadline = time.monotonic() + 10
    while (lease := leases.acquire("key")) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lease is not None and lease.number == 2
    owner.send_signal(signal.SIGCONT)
    out, _ = owner.communicate("\n", timeout=20)
    assert out.strip() == "lost"
    lease.check()
    assert LeaseFolder(tmp_path, BEAT, STALE).acquire("key") is None
    lease.release()


def test_an_owner_that_is_not_paused_is_current(tmp_path: Path, start: Start) -> None:
    owner = start(OWNER, tmp_path)
    assert line(owner) == "1"
    out, _ = owner.communicate("\n", timeout=20)
    assert out.strip() == "current"


def test_of_many_contenders_exactly_one_gets_each_lease(tmp_path: Path, start: Start) -> None:
    keys = 40
    contenders = [start(CONTENDER, tmp_path, keys) for _ in range(6)]
    time.sleep(1)  # until most have imported what they need
    (tmp_path / "begin").touch()
    done = [int(key) for contender in contenders for key in contender.communicate(timeout=60)[0].split()]
    assert sorted(done) == list(range(keys))


def test_takeovers_by_many_contenders_are_by_exactly_one(tmp_path: Path) -> None:
    """All of them observed the same stale lease."""
    (tmp_path / "key.1").touch()
    contenders = [LeaseFolder(tmp_path, BEAT, 0) for _ in range(8)]
    assert [contender.acquire("key") for contender in contenders] == [None] * 8
    leases = [lease for contender in contenders if (lease := contender.acquire("key"))]
    assert [lease.number for lease in leases] == [2]
    leases[0].release()


def test_a_lost_lease_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    lease = LeaseFolder(tmp_path).acquire("key")
    assert lease is not None
    (tmp_path / "key.2").touch()
    assert not lease.is_current()
    with pytest.raises(LeaseLost, match=f"{tmp_path}/key: another process took the lease over"):
        lease.check()
    lease.release()
