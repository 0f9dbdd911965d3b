"""Leases: the right of one process to work under a name, in a folder that several hosts share; without file locks.

The lease of a name is the file `NAME.N`, created exclusively by its owner; N is the fencing number, one higher than
that of the lease before. The owner's heartbeat is the file `NAME.N.beat`, which only the owner writes. An observer
calls a lease stale when it saw no new heartbeat for `stale_seconds` on its own monotonic clock, so the clocks of the
hosts need not agree. A takeover is the exclusive creation of `NAME.N+1`: of several contenders one succeeds, and since
nobody deletes a file, no contender can delete a lease that was just renewed. Neither `flock` nor `os.link` is needed,
which some network file systems lack.

A process that was paused, not killed, may wake up after it lost its lease. It must call `Lease.check` before it
publishes its result. It may lose the lease between the check and the writing, so contents must be a function of the
name: then the result is right, no matter which process publishes it.
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import DISK_FULL, BenchmarkError
from benchmark.files import read_json
from reports.file_access import remove_abandoned, temporary_path
from reports.process_identity import host_id, start_time

BEAT_SECONDS, STALE_SECONDS = 15.0, 60.0
_RELEASED = "released"
_POLL_SECONDS = 0.5
"""Between two attempts to get a lease that another process has."""


class LeaseFolderError(BenchmarkError, OSError):
    """The folder of the leases cannot be written."""


class LeaseLost(BenchmarkError):  # noqa: N818  # no mistake: the process was paused for too long
    """Another process took this lease over, since this one gave no heartbeat for too long."""


@dataclass
class Lease:
    """A lease that this process owns. From now on a thread writes its heartbeat, until it is released or lost."""

    folder: Path
    name: str
    number: int
    """The fencing number."""
    beat_seconds: float
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        """Write the first heartbeat, and start the thread that writes the next ones."""
        self._write("0")
        threading.Thread(target=self._beat, name=f"heartbeat of {self.name}", daemon=True).start()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process has: it can check the lease, and leaves the heartbeat to the owner."""
        return {name: value for name, value in vars(self).items() if name != "_ended"}

    def is_current(self) -> bool:
        """Return whether no other process has taken the lease over."""
        return not _lease_file(self.folder, self.name, self.number + 1).exists()

    def check(self) -> None:
        """Raise LeaseLost if another process has taken the lease over: a result must not be published any more."""
        if not self.is_current():
            raise LeaseLost(f"{self.folder / self.name}: another process took the lease over while this one was paused")

    def release(self) -> None:
        """Give the lease back, so that others need not wait until it is stale."""
        self._ended.set()
        self._write(_RELEASED)

    def _beat(self) -> None:
        for count in itertools.count(1):
            if self._ended.wait(self.beat_seconds) or not self.is_current():
                return
            self._write(str(count))

    def _write(self, text: str) -> None:
        file = self.folder / f"{self.name}.{self.number}.beat"
        temporary = temporary_path(self.folder)
        with suppress(OSError):  # a full disk, or a server that is away for a moment: the next heartbeat tries again
            try:
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(file)
            finally:
                temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class LeaseFolder:
    """The leases in a folder, as this process observes them."""

    root: Path
    beat_seconds: float = BEAT_SECONDS
    stale_seconds: float = STALE_SECONDS
    _observed: dict[str, tuple[Any, float]] = field(default_factory=dict[str, tuple[Any, float]], repr=False)
    """Name -> the last lease and heartbeat that were seen, and since when."""

    def acquire(self, name: str) -> Lease | None:
        """Return the lease of a name, or None while another process has it.

        A lease whose owner died on this host is taken over at once; any other one when calls in the course of
        `stale_seconds` saw no new heartbeat.

        Raises:
            LeaseFolderError: The folder cannot be written.
            OSError: The disk is full.
        """
        last = self._last_number(name)
        if last and self._is_held(name, last):
            return None
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.root)
            with suppress(FileExistsError):  # another process was faster
                with _lease_file(self.root, name, last + 1).open("x", encoding="utf-8") as file:
                    json.dump(_this_process(), file)
                return Lease(self.root, name, last + 1, self.beat_seconds)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            raise LeaseFolderError(
                f"{self.root}: cannot be written ({error.strerror}), and a lease must be; "
                "make the folder writable for this user, or choose another one"
            ) from None
        return None

    def acquire_patiently(self, name: str, poll_seconds: float = 0.2) -> Lease | None:
        """Return the lease of a name, or None once its owner is known to be alive.

        Waits, if need be, until the owner gives a heartbeat or is stale; an owner on this host needs no wait.

        Raises:
            LeaseFolderError: The folder cannot be written.
        """
        first = None
        while (lease := self.acquire(name)) is None:
            observed = self._observed.get(name, (None, 0.0))[0]
            first = first or observed
            if observed != first or self._owner_is_alive(name, self._last_number(name)):
                return None
            time.sleep(poll_seconds)
        return lease

    @contextmanager
    def hold(self, name: str) -> Generator[Lease | None]:
        """Hold the lease of a name inside, and release it at the end; None while another process has it."""
        lease = self.acquire(name)
        try:
            yield lease
        finally:
            if lease is not None:
                lease.release()

    @contextmanager
    def claim(self, name: str, is_done: Callable[[], bool], on_wait: Callable[[str], None]) -> Generator[Lease | None]:
        """Hold the lease of a name inside; None once nothing is left to do. Waits while another process has it.

        Args:
            name: Of the lease.
            is_done: Whether the work under the lease is done, by whichever process.
            on_wait: Called once, with the owner of the lease, if there is a wait.

        Raises:
            LeaseFolderError: The folder cannot be written.
            LeaseLost: What was raised inside has the reason that another process took the lease over.
        """
        has_waited = False
        while not is_done():
            with self.hold(name) as lease:
                if lease is not None:
                    try:
                        yield None if is_done() else lease
                    except Exception:
                        lease.check()  # after a pause: the new owner may have removed what was being written
                        raise
                    return
            if not has_waited:
                on_wait(self.owner(name))
            has_waited = True
            time.sleep(_POLL_SECONDS)
        yield None

    def holder(self, name: str) -> str | None:
        """Return who has the lease of a name, for people; None if nobody has. An owner on another host may be dead."""
        last = self._last_number(name)
        return self.owner(name) if last and self._is_held(name, last) else None

    def owner(self, name: str) -> str:
        """Return who has, or had last, the lease of a name, for people."""
        match read_json(_lease_file(self.root, name, self._last_number(name))):
            case {"host": str(host), "pid": int(pid)}:
                return f"process {pid} on {host.partition(' ')[0]}"
            case _:
                return "another process"

    def _last_number(self, name: str) -> int:
        """Return the highest fencing number in use; they have no gaps and are few, so probing beats listing."""
        return next(number for number in itertools.count() if not _lease_file(self.root, name, number + 1).exists())

    def _is_held(self, name: str, number: int) -> bool:
        beat = ""
        with suppress(OSError):
            beat = (self.root / f"{name}.{number}.beat").read_text(encoding="utf-8")
        if beat == _RELEASED or self._owner_is_alive(name, number) is False:
            return False
        now = time.monotonic()
        observation, since = self._observed.get(name, (None, now))
        if observation != (number, beat):
            self._observed[name] = ((number, beat), now)
            return True
        return now - since < self.stale_seconds

    def _owner_is_alive(self, name: str, number: int) -> bool | None:
        """Return whether the owner's process runs; None if it belongs to another host or container."""
        owner = read_json(_lease_file(self.root, name, number))
        ours = _this_process()
        if not isinstance(owner, dict) or owner.get("host") != ours["host"] or ours["started"] is None:
            return None
        return owner["started"] == start_time(int(owner["pid"]))


def _lease_file(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}.{number}"


def _this_process() -> dict[str, Any]:
    return {"host": host_id(), "pid": os.getpid(), "started": start_time(os.getpid())}
