"""The latency of a network: single calls, and their quantiles with 95 % intervals over processes."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special  # not stats, which takes long to import

from benchmark.inference.device_setup import Machine
from benchmark.inference.tiles import tile_boxes
from reports.schema import Dtype

QUANTILES: Mapping[str, float] = {"p25": 25, "median": 50, "p90": 90, "p99": 99}
_CONFIDENCE = 0.95
LAUNCH_BOUND = 0.9
"""Where the host is busy for this share of the network's time on a GPU, the GPU waits for the host."""


@dataclass(frozen=True)
class Conditions:
    """The conditions of a latency.

    Attributes:
        image: Height and width in pixels.
        runtime: How the network runs.
        dtype: Of weights and features.
        threads: CPU threads; None: as many as the process has.
        tile: Side in pixels of the square tiles that the image is restored in; None: the image as a whole.
        overlap: Pixels that neighbouring tiles share.
        folded: Whether norms are folded into convolutions.
    """

    image: tuple[int, int]
    runtime: str = "eager"
    dtype: Dtype = "float32"
    threads: int | None = None
    tile: int | None = None
    overlap: int = 0
    folded: bool = True


@dataclass(frozen=True)
class Call:
    """Milliseconds of one image."""

    image_ms: float
    """From the 8-bit image on the host to the restored 8-bit image on the host."""
    network_ms: float
    """The network alone, on a GPU by its own clock."""
    launch_ms: float
    """How long the host was busy launching the network's work on the device; on a CPU the same as `network_ms`."""


@dataclass(frozen=True)
class WarmUp:
    """The calls before measuring, and whether their times have settled."""

    seconds: float
    has_settled: bool


@dataclass(frozen=True)
class ModelSamples:
    """What one process measured of one network."""

    cold_start_ms: float
    """Of the first call."""
    preparation_seconds: float
    """What the runtime took to prepare the network, e.g. to compile it."""
    warm_up: WarmUp
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Estimate:
    """Milliseconds, and their 95 % interval over processes; None where there was only one process."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Latency:
    """The latency of one network under its conditions, from all calls of all processes."""

    protocol: str
    conditions: Conditions
    image_ms: Mapping[str, Estimate]
    """By name of the quantile."""
    network_ms: Mapping[str, Estimate]
    launch_share: float
    """Median share of the network's time for which the host was busy launching it."""
    cold_start_ms: float | None
    preparation_seconds: float
    runs: int
    processes: int
    spread: float
    """Interquartile range of `image_ms` as a share of the median; median over processes."""
    waited_share: float | None
    unsteady: tuple[str, ...]
    """Reasons to doubt the numbers; empty if there are none."""
    reference_ms: float | None = None
    """Median of the reference network that was measured beside this one."""


def summarise(
    protocol: str,
    conditions: Conditions,
    processes: Sequence[ModelSamples],
    unsteady: Sequence[str],
    waited_share: float | None,
    reference_ms: float | None = None,
) -> Latency:
    """Return the latency of one network from what each process measured of it."""
    all_calls = [call for samples in processes for call in samples.calls]
    return Latency(
        protocol=protocol,
        conditions=conditions,
        image_ms=quantiles([[call.image_ms for call in samples.calls] for samples in processes]),
        network_ms=quantiles([[call.network_ms for call in samples.calls] for samples in processes]),
        launch_share=statistics.median(call.launch_ms / call.network_ms for call in all_calls),
        cold_start_ms=statistics.median(samples.cold_start_ms for samples in processes),
        preparation_seconds=statistics.median(samples.preparation_seconds for samples in processes),
        runs=len(all_calls),
        processes=len(processes),
        spread=statistics.median(spread(samples.calls) for samples in processes),
        waited_share=waited_share,
        unsteady=tuple(unsteady),
        reference_ms=reference_ms,
    )


def scaled_calls(calls: Sequence[Call], reference_ms: Sequence[float], quiet_ms: float) -> tuple[Call, ...]:
    """Return calls as they would be if the reference network had taken `quiet_ms` before and after each.

    Args:
        calls: Of a network.
        reference_ms: Of the calls of the reference network between them; one more, since they come first and last.
        quiet_ms: What the reference network takes while nothing else runs.
    """
    paces = [2 * quiet_ms / (before + after) for before, after in pairwise(reference_ms)]
    return tuple(
        Call(call.image_ms * pace, call.network_ms * pace, call.launch_ms * pace)
        for call, pace in zip(calls, paces, strict=True)
    )


def scaled(latency: Latency, quiet_ms: float) -> Latency:
    """Return a latency as it would be if the reference network beside it had taken `quiet_ms`."""
    pace = quiet_ms / latency.reference_ms if latency.reference_ms else 1.0

    def of(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
        return {
            name: Estimate(
                each.value * pace,
                None if each.low is None else each.low * pace,
                None if each.high is None else each.high * pace,
            )
            for name, each in estimates.items()
        }

    return replace(latency, image_ms=of(latency.image_ms), network_ms=of(latency.network_ms))


def quantiles(processes: Sequence[Sequence[float]]) -> dict[str, Estimate]:
    """Return every quantile with its interval over processes.

    Args:
        processes: For each process, the milliseconds of its calls.
    """
    return {
        name: estimate_over_processes([float(np.percentile(calls, share)) for calls in processes])
        for name, share in QUANTILES.items()
    }


def estimate_over_processes(values: Sequence[float]) -> Estimate:
    """Return the geometric mean of one value per process, with Student's t interval of the logarithms.

    The samples are processes, not calls: processes differ in where memory lies and which code a library chose, so calls
    of one process are not independent.
    """
    logs = [math.log(value) for value in values]
    center = statistics.fmean(logs)
    if len(logs) < 2:
        return Estimate(math.exp(center))
    quantile = float(special.stdtrit(len(logs) - 1, (1 + _CONFIDENCE) / 2))
    reach = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(*(float(math.exp(value)) for value in (center, center - reach, center + reach)))


def spread(calls: Sequence[Call]) -> float:
    """Return the interquartile range of `image_ms` as a share of its median."""
    low, middle, high = np.percentile([call.image_ms for call in calls], (25, 50, 75))
    return float((high - low) / middle)


def latency_record(latency: Latency, machine: Machine) -> dict[str, Any]:
    """Return a latency as plain values for a record: conditions, `median_ms`, `net_median_interval_ms` and so on."""
    conditions = latency.conditions
    record: dict[str, Any] = {
        "name": latency.protocol,
        "device": machine.device_name,
        "threads": conditions.threads or machine.threads,
        "allocator": machine.allocator,
        "runtime": conditions.runtime,
        "dtype": conditions.dtype,
        "folded": conditions.folded,
        "image": list(conditions.image),
    }
    if tile := conditions.tile:
        tiles = len(tile_boxes(conditions.image, tile, conditions.overlap))
        record |= {"tile": tile, "overlap": conditions.overlap, "tiles": tiles}
    if machine.device.type == "cuda":
        record["launch_bound"] = latency.launch_share > LAUNCH_BOUND
    for prefix, estimates in (("", latency.image_ms), ("net_", latency.network_ms)):
        for name, estimate in estimates.items():
            record[f"{prefix}{name}_ms"] = estimate.value
            if estimate.low is not None:
                record[f"{prefix}{name}_interval_ms"] = [estimate.low, estimate.high]
    for name in ("cold_start_ms", "preparation_seconds", "runs", "processes", "spread", "waited_share", "launch_share"):
        record[name] = getattr(latency, name)
    return {**record, "reference_ms": latency.reference_ms, "unsteady": list(latency.unsteady)}
