"""Whether the machine had time for what was measured: waiting for processors, throttling."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

_TASKS, _CPUS = Path("/proc/self/task"), Path("/sys/devices/system/cpu")
_HARMLESS_REASONS = {"0x0000000000000000", "0x0000000000000001"}
"""What nvidia-smi says when nothing slows a GPU down, or when it has nothing to do."""


@dataclass(frozen=True)
class LoadCounters:
    """What the system has counted up to a moment: nanoseconds that the threads of this process ran, and were ready to
    run but had to wait; and how often the processors were throttled. None where the system does not say."""

    running_ns: int
    waiting_ns: int
    throttled: int | None


@dataclass(frozen=True)
class Load:
    """`waited_share`: of the time that this process's threads could have run, the part they waited for a processor.

    `throttled`: how often processors were slowed down for heat or power, or why the GPU was.
    """

    waited_share: float | None
    throttled: str | None


def read_counters() -> LoadCounters | None:
    """The counters of this moment; None where the system keeps none (anything but Linux)."""
    try:
        times = [(int(running), int(waiting)) for running, waiting, _ in _scheduling()]
    except (OSError, ValueError):
        return None
    return LoadCounters(sum(running for running, _ in times), sum(waiting for _, waiting in times), _throttle_count())


def _scheduling() -> Iterator[list[str]]:
    """Time run, time waited (nanoseconds) and time slices of every thread of this process."""
    for task in _TASKS.iterdir():
        yield (task / "schedstat").read_text(encoding="ascii").split()


def _throttle_count() -> int | None:
    files = list(_CPUS.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    try:
        return sum(int(file.read_text(encoding="ascii")) for file in files) if files else None
    except (OSError, ValueError):
        return None


def load_since(before: LoadCounters | None, device: torch.device) -> Load:
    """The load between the moment of the counters and now."""
    now, throttled = read_counters(), _gpu_throttled(device) if device.type == "cuda" else None
    if before is None or now is None:
        return Load(None, throttled)
    running, waiting = now.running_ns - before.running_ns, now.waiting_ns - before.waiting_ns
    if before.throttled is not None and now.throttled is not None and now.throttled > before.throttled:
        throttled = f"processors throttled {now.throttled - before.throttled} times"
    return Load(waiting / max(1, running + waiting), throttled)


def _gpu_throttled(device: torch.device) -> str | None:
    """What slows the GPU down right now, by nvidia-smi; None where nothing does or nobody says."""
    query = ["nvidia-smi", f"--id={device.index or 0}", "--query-gpu=clocks_throttle_reasons.active"]
    try:
        answer = subprocess.run(
            [*query, "--format=csv,noheader"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return None if answer in _HARMLESS_REASONS or not answer.startswith("0x") else f"GPU throttled ({answer})"
