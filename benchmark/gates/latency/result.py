"""What a latency is: quantiles with intervals, under which conditions, and whether the machine was steady."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmark.gates.latency.timing import Call, Tiling
from benchmark.inference.runtimes import Dtype

QUANTILES: Mapping[str, float] = {"p25": 25, "median": 50, "p90": 90, "p99": 99}
_CONFIDENCE = 0.95
LAUNCH_BOUND = 0.9
"""Where the host is busy for this share of the network's time on a GPU, the GPU waits for the host."""


@dataclass(frozen=True)
class Conditions:
    """Under which a latency holds. `image`: height and width in pixels; `tiling`: None for the image as a whole."""

    image: tuple[int, int]
    runtime: str = "eager"
    dtype: Dtype = "float32"
    threads: int | None = None
    tiling: Tiling | None = None
    folded: bool = True


@dataclass(frozen=True)
class Estimate:
    """Milliseconds, and their 95 % interval over processes; None where there was but one process."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Latency:
    """`image_ms`, `network_ms`: by name of the quantile. `cold_start_ms`: the first call of a fresh process.

    `preparation_seconds`: what the runtime took to make the network ready (to compile it, say). `unsteady`: in words,
    what makes the numbers doubtful; empty if nothing does. `reference_ms`: median of the reference network beside it.
    """

    protocol: str
    conditions: Conditions
    image_ms: Mapping[str, Estimate]
    network_ms: Mapping[str, Estimate]
    launch_share: float
    cold_start_ms: float | None
    preparation_seconds: float
    runs: int
    processes: int
    spread: float
    waited_share: float | None
    unsteady: tuple[str, ...]
    reference_ms: float | None = None

    @property
    def median_ms(self) -> float:
        return self.image_ms["median"].value


def quantiles(processes: Sequence[Sequence[float]]) -> dict[str, Estimate]:
    """Every quantile with its interval over processes; `processes`: the milliseconds of each one's calls."""
    return {
        name: over_processes([float(np.percentile(calls, share)) for calls in processes])
        for name, share in QUANTILES.items()
    }


def over_processes(values: Sequence[float]) -> Estimate:
    """Geometric mean of what the processes found, with Student's t interval of the logarithms.

    Between processes, memory lies elsewhere and other code was chosen, so calls of one process are no independent
    samples; processes are.
    """
    logs = [math.log(value) for value in values]
    center = statistics.fmean(logs)
    if len(logs) < 2:
        return Estimate(math.exp(center))
    reach = student.ppf((1 + _CONFIDENCE) / 2, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(*(float(math.exp(value)) for value in (center, center - reach, center + reach)))


def spread(calls: Sequence[Call]) -> float:
    """Interquartile range of the whole way as a share of its median."""
    low, middle, high = np.percentile([call.image_ms for call in calls], (25, 50, 75))
    return float((high - low) / middle)


def launch_share(calls: Sequence[Call]) -> float:
    """Median share of the network's time for which the host was busy starting it."""
    return statistics.median(call.launch_ms / call.network_ms for call in calls)


def as_json(latency: Latency) -> dict[str, Any]:
    """Plain values: `median_ms`, `median_interval_ms`, `net_median_ms` and so on."""
    numbers: dict[str, Any] = {}
    for part, estimates in (("", latency.image_ms), ("net_", latency.network_ms)):
        for name, estimate in estimates.items():
            numbers[f"{part}{name}_ms"] = estimate.value
            if estimate.low is not None:
                numbers[f"{part}{name}_interval_ms"] = [estimate.low, estimate.high]
    for name in ("cold_start_ms", "preparation_seconds", "runs", "processes", "spread", "waited_share", "launch_share"):
        numbers[name] = getattr(latency, name)
    return {**numbers, "reference_ms": latency.reference_ms, "unsteady": list(latency.unsteady)}
