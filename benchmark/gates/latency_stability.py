"""Reasons to doubt a latency: waiting for processors, throttling, scattered calls, drift."""

import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.errors import counted
from benchmark.gates.latency import WarmUp

MOST_WAITED = 0.03
"""An idle machine shows 1 % here; one other busy program on two cores 20 % and more."""
MOST_SPREAD = 0.10
MOST_DRIFT = 0.05
_THREADS, _CPUS = Path("/proc/self/task"), Path("/sys/devices/system/cpu")
_HARMLESS_REASONS = {"0x0000000000000000", "0x0000000000000001"}
"""Of nvidia-smi, when nothing slows the GPU down, or when it has nothing to do."""


@dataclass(frozen=True)
class Load:
    """How busy the machine was, and whether it was slowed down."""

    waited_share: float | None
    """Of the time that this process's threads could have run, the part they waited for a processor."""
    throttled: str | None
    """How often processors were slowed down for heat or power, or why the GPU was."""


LoadCounters = tuple[int, int, int]
"""Nanoseconds that the threads of this process ran; nanoseconds that they were ready to run and waited for a processor;
how often processors were throttled, 0 where the system does not say."""


def read_counters() -> LoadCounters | None:
    """Return the counters of this moment; None where the system has none (anything but Linux)."""
    with suppress(OSError, ValueError):
        counts = [(thread / "schedstat").read_text(encoding="ascii").split() for thread in _THREADS.iterdir()]
        running, waiting = (sum(int(of_thread[index]) for of_thread in counts) for index in (0, 1))
        return running, waiting, _throttle_count()
    return None


def _throttle_count() -> int:
    with suppress(OSError, ValueError):
        files = _CPUS.glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
        return sum(int(file.read_text(encoding="ascii")) for file in files)
    return 0


def load_since(before: LoadCounters | None, device: torch.device) -> Load:
    """Return the load between the moment of the counters and now."""
    now, throttled = read_counters(), _gpu_throttled(device) if device.type == "cuda" else None
    if before is None or now is None:
        return Load(None, throttled)
    running, waiting, throttlings = (count - earlier for count, earlier in zip(now, before, strict=True))
    if throttlings > 0:
        throttled = f"processors throttled {counted(throttlings, 'time')}"
    return Load(waiting / max(1, running + waiting), throttled)


def _gpu_throttled(device: torch.device) -> str | None:
    """Return what slows the GPU down right now, by nvidia-smi; None if nothing does, or if it does not say."""
    query = ["nvidia-smi", f"--id={device.index or 0}", "--query-gpu=clocks_throttle_reasons.active"]
    with suppress(OSError, subprocess.SubprocessError):
        reasons = subprocess.run(
            [*query, "--format=csv,noheader"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        return None if reasons in _HARMLESS_REASONS or not reasons.startswith("0x") else f"GPU throttled ({reasons})"
    return None


def load_doubts(loads: Sequence[Load]) -> Iterator[str]:
    """Yield doubts for other programs, more threads than cores (some runtimes add theirs to torch's), heat, power."""
    waited = max(load.waited_share or 0.0 for load in loads)
    if waited > MOST_WAITED:
        yield f"{100 * waited:.0f} % of the time was spent waiting for a core (other programs, or threads of this one)"
    yield from sorted({load.throttled for load in loads if load.throttled})


def spread_doubts(spreads: Sequence[float]) -> Iterator[str]:
    """Yield a doubt if the calls of a typical process scatter too much."""
    typical = statistics.median(spreads)
    if typical > MOST_SPREAD:
        yield f"calls differ by {100 * typical:.0f} % (interquartile range; at most {100 * MOST_SPREAD:.0f} %)"


def warm_up_doubts(warm_ups: Sequence[WarmUp]) -> Iterator[str]:
    """Yield a doubt if the times never settled in most processes."""
    unsettled = [warm_up for warm_up in warm_ups if not warm_up.has_settled]
    if 2 * len(unsettled) > len(warm_ups):
        longest = max(warm_up.seconds for warm_up in unsettled)
        yield f"times had not settled after a warm-up of {longest:.0f} s"


def reference_doubts(medians: Sequence[float]) -> Iterator[str]:
    """Yield a doubt if the reference network, the same in every process, did not take the same time in each."""
    middle = statistics.median(medians)
    drift = max(abs(median / middle - 1) for median in medians)
    if drift > MOST_DRIFT:
        yield f"the reference network drifted by {100 * drift:.0f} % (at most {100 * MOST_DRIFT:.0f} %)"
