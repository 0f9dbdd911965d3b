"""Limits against measurements: passed, failed, inconclusive, or not measured. Never passed on an absent device."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from benchmark.experiment.schema import (
    AnyGate,
    GpuMemoryGate,
    LatencyGate,
    MacsGate,
    ParametersGate,
    RamGate,
    SizeGate,
)
from benchmark.gates.cost import macs, parameters
from benchmark.gates.latency import quick_latency
from benchmark.gates.memory import restoring_gpu_bytes, restoring_ram_bytes
from benchmark.model import Restorer
from benchmark.model.weights import weight_bytes

Result = Literal["passed", "failed", "inconclusive", "not_measured"]


@dataclass(frozen=True)
class Verdict:
    """One gate's outcome. `protocol` says how it was measured; `estimate` stays empty until one is made."""

    name: str
    quantity: str
    limit: float
    measured: float | None
    unit: str
    result: Result
    protocol: dict[str, Any]
    reject: bool
    estimate: dict[str, Any] | None = None


@dataclass(frozen=True)
class MeasuringDevice:
    """What latencies are measured on; the facts stand in each verdict."""

    device: torch.device
    name: str
    threads: int
    allocator: str


def judge(gates: Mapping[str, AnyGate], restorer: Restorer, device: MeasuringDevice) -> list[Verdict]:
    """The verdict of every gate, in the order of the file."""
    return [_judge(name, gate, restorer, device) for name, gate in gates.items()]


def _judge(name: str, gate: AnyGate, restorer: Restorer, device: MeasuringDevice) -> Verdict:
    match gate:
        case SizeGate():
            size = len(weight_bytes(restorer, getattr(torch, gate.dtype)))
            protocol = {"file": "safetensors", "dtype": gate.dtype}
            return _exact(name, gate, gate.limit_bytes, size, "bytes", protocol)
        case ParametersGate():
            return _exact(name, gate, gate.limit, parameters(restorer), "parameters", {})
        case MacsGate():
            protocol = {"counter": "torch.utils.flop_counter / 2", "image": list(gate.image)}
            return _exact(name, gate, gate.limit, macs(restorer, gate.image), "MACs", protocol)
        case LatencyGate():
            return _judge_latency(name, gate, restorer, device)
        case GpuMemoryGate():
            return _judge_gpu_memory(name, gate, restorer, device)
        case RamGate():
            used = restoring_ram_bytes(restorer, gate.image, device.device)
            protocol = {"of": "this process, at its highest", "device": device.name, "image": list(gate.image)}
            return _exact(name, gate, gate.limit_bytes, used, "bytes", protocol)


def _exact(name: str, gate: AnyGate, limit: int, measured: int, unit: str, protocol: dict[str, Any]) -> Verdict:
    result: Result = "passed" if measured <= limit else "failed"
    return Verdict(name, gate.quantity, limit, measured, unit, result, protocol, gate.reject)


def _judge_latency(name: str, gate: LatencyGate, restorer: Restorer, device: MeasuringDevice) -> Verdict:
    if not _is_at_hand(gate.device, device):
        return _absent(name, gate, gate.limit_ms, "ms", gate.device, device)
    latency = quick_latency(restorer, gate.image, device.device)
    protocol = {
        "name": "quick",
        "device": device.name,
        "threads": device.threads,
        "allocator": device.allocator,
        "runtime": "eager",
        "dtype": "float32",
        "layout": "NCHW",
        "image": list(gate.image),
        **asdict(latency),
    }
    # Three calls in four over the limit is a failure that no better protocol would turn; the quick one cannot pass.
    result: Result = "failed" if latency.lower_quartile_ms > gate.limit_ms else "inconclusive"
    return Verdict(name, gate.quantity, gate.limit_ms, latency.median_ms, "ms", result, protocol, gate.reject)


def _judge_gpu_memory(name: str, gate: GpuMemoryGate, restorer: Restorer, device: MeasuringDevice) -> Verdict:
    if device.device.type != "cuda" or not _is_at_hand(gate.device, device):
        return _absent(name, gate, gate.limit_bytes, "bytes", gate.device or "GPU", device)
    used = restoring_gpu_bytes(restorer, gate.image, device.device)
    protocol = {"of": "torch, without CUDA's own context", "device": device.name, "image": list(gate.image)}
    return _exact(name, gate, gate.limit_bytes, used, "bytes", protocol)


def _is_at_hand(wanted: str | None, device: MeasuringDevice) -> bool:
    return wanted is None or wanted.lower() in device.name.lower()


def _absent(
    name: str,
    gate: LatencyGate | GpuMemoryGate,
    limit: float,
    unit: str,
    wanted: str | None,
    device: MeasuringDevice,
) -> Verdict:
    """Not measured, and why: never a guess from another device."""
    reason = f"no {wanted} here; this machine has {device.name}"
    protocol = {"device": wanted, "image": list(gate.image), "reason": reason}
    return Verdict(name, gate.quantity, limit, None, unit, "not_measured", protocol, gate.reject)
