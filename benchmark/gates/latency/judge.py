"""Latency gates: which measurement a gate asks for, and what follows from it."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark.experiment.schema import LatencyGate
from benchmark.gates.gate_result import (
    Candidate,
    MeasuringDevice,
    is_at_hand,
    no_such_device,
    not_measured,
)
from benchmark.gates.latency.full import MeasuringError, full_latency
from benchmark.gates.latency.quick import quick_latency
from benchmark.gates.latency.result import LAUNCH_BOUND, Conditions, Latency, as_json
from benchmark.gates.latency.timing import Tiling
from benchmark.gates.latency.worker import Effort, Job, Subject
from benchmark.inference.runtimes import RuntimeUnavailable, runtime_names, unavailable
from benchmark.inference.tiles import tile_boxes
from benchmark.model.weight_files import write_weights
from reports.schema import GateOutcome, GateResult


class LatencyJudge:
    """Judges the latency gates of one network; what two of them ask for is measured once."""

    def __init__(self, candidate: Candidate, device: MeasuringDevice, effort: Effort | None = None) -> None:
        self._candidate, self._device, self._effort = candidate, device, effort or Effort()
        self._latency = cache(self._measure)

    def judge(self, name: str, gate: LatencyGate) -> GateResult:
        """The verdict of a gate; not measured where the device or the runtime it names is not at hand."""
        conditions = conditions_of(gate)
        facts: dict[str, Any] = {"device": gate.device or self._device.name, "image": list(gate.image)}
        if not is_at_hand(gate.device, self._device):
            reason = no_such_device(gate.device, self._device)
            return not_measured(name, gate, gate.limit_ms, "ms", reason, facts)
        try:
            tried = self._try_runtimes(conditions) if gate.runtime == "best" else {}
            if tried:
                conditions = replace(conditions, runtime=min(tried, key=lambda runtime: tried[runtime]))
            latency = self._latency(gate.protocol, conditions)
        except (RuntimeUnavailable, MeasuringError) as error:
            return not_measured(name, gate, gate.limit_ms, "ms", str(error), {**facts, "runtime": gate.runtime})
        return self._verdict(name, gate, latency, {"runtimes_median_ms": tried} if tried else {})

    def _try_runtimes(self, conditions: Conditions) -> dict[str, float]:
        """Median milliseconds of every runtime that is installed, by the quick protocol."""
        names = runtime_names(self._device.device.type)
        usable = [name for name in names if unavailable(name, self._device.device) is None]
        return {name: self._latency("quick", replace(conditions, runtime=name)).median_ms for name in usable}

    def _measure(self, protocol: str, conditions: Conditions) -> Latency:
        if protocol == "quick":
            return quick_latency(self._candidate.restorer, conditions, self._device.device)
        with TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            write_weights(self._candidate.restorer, weights)
            subject = Subject("network", self._candidate.model, weights, conditions)
            return full_latency(make_job([subject], self._device, self._candidate.plugins, self._effort))[0]

    def _verdict(self, name: str, gate: LatencyGate, latency: Latency, more: dict[str, Any]) -> GateResult:
        measured = latency.image_ms[gate.quantile]
        return GateResult(
            name=name,
            quantity=gate.quantity,
            limit=gate.limit_ms,
            measured=measured.value,
            unit="ms",
            result=decide(latency, gate),
            protocol={**described(latency, self._device), "quantile": gate.quantile, **more},
            reject=gate.reject,
            interval=None if measured.low is None or measured.high is None else (measured.low, measured.high),
        )


def make_job(subjects: list[Subject], device: MeasuringDevice, plugins: tuple[Path, ...], effort: Effort) -> Job:
    """The job of measuring subjects on a device. All must ask for the same number of threads."""
    threads = subjects[0].conditions.threads or device.threads
    return Job(tuple(subjects), str(device.device), threads, device.allocator == "kept", plugins, effort)


def conditions_of(gate: LatencyGate) -> Conditions:
    tiling = Tiling(gate.tile, gate.overlap) if gate.tile else None
    return Conditions(gate.image, gate.runtime, gate.dtype, gate.threads, tiling)


def decide(latency: Latency, gate: LatencyGate) -> GateOutcome:
    """Passed or failed only if the whole interval is on one side and nothing made the measurement doubtful.

    The quick protocol knows no interval: it fails a network of whose calls three in four exceed the limit.
    """
    measured = latency.image_ms[gate.quantile]
    if latency.unsteady:
        return "inconclusive"
    if latency.protocol == "quick" or measured.low is None or measured.high is None:
        return "failed" if latency.image_ms["p25"].value > gate.limit_ms else "inconclusive"
    if measured.high <= gate.limit_ms:
        return "passed"
    return "failed" if measured.low > gate.limit_ms else "inconclusive"


def described(latency: Latency, device: MeasuringDevice) -> dict[str, Any]:
    """All that a record needs to know of a latency."""
    conditions = latency.conditions
    launch = {"launch_bound": latency.launch_share > LAUNCH_BOUND} if device.device.type == "cuda" else {}
    return {
        "name": latency.protocol,
        "device": device.name,
        "threads": conditions.threads or device.threads,
        "allocator": device.allocator,
        "runtime": conditions.runtime,
        "dtype": conditions.dtype,
        "folded": conditions.folded,
        "image": list(conditions.image),
        **tiles_of(conditions),
        **launch,
        **as_json(latency),
    }


def tiles_of(conditions: Conditions) -> dict[str, Any]:
    """Tiles an image is cut into, and how many; empty for an image restored as a whole."""
    if conditions.tiling is None:
        return {}
    tile, overlap = conditions.tiling.tile, conditions.tiling.overlap
    return {"tile": tile, "overlap": overlap, "tiles": len(tile_boxes(conditions.image, tile, overlap))}
