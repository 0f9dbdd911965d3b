"""Which process is meant: the identity of a host and of a process on it, for files that several processes share."""

import socket
from contextlib import suppress
from pathlib import Path


def host_id() -> str:
    """Return the name of this host, since its last start, and of this container: within it, a pid names one process."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the host did; None if it ended, or without /proc."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = text.rpartition(")")[2].split()  # the name before, in brackets, may hold anything
        return None if state in "ZX" else int(fields[18])  # Z: it was killed, and its parent has not asked for it yet
    return None
