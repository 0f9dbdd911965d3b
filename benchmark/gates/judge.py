"""Limits against measurements. Never passed on an absent device."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.experiment.schema import (
    ActivationsGate,
    AnyGate,
    GpuMemoryGate,
    LatencyGate,
    MacsGate,
    ParametersGate,
    RamGate,
    SizeGate,
)
from benchmark.gates.cost import REFERENCE_IMAGE, macs, parameters
from benchmark.gates.gate_result import (
    Candidate,
    MeasuringDevice,
    exact,
    is_at_hand,
    no_such_device,
    not_measured,
)
from benchmark.gates.latency.judge import LatencyJudge
from benchmark.gates.memory import activation_bytes, restoring_gpu_bytes, restoring_ram_bytes
from benchmark.inference.onnx import onnx_bytes
from benchmark.model import Restorer
from benchmark.model.weight_files import weight_bytes
from reports.schema import GateResult


def judge(gates: Mapping[str, AnyGate], candidate: Candidate, device: MeasuringDevice) -> list[GateResult]:
    """The verdict of every gate, in the order of the file; gates that ask for the same latency share it."""
    latencies = LatencyJudge(candidate, device)
    return [_judge(name, gate, candidate.restorer, device, latencies) for name, gate in gates.items()]


def _judge(
    name: str, gate: AnyGate, restorer: Restorer, device: MeasuringDevice, latencies: LatencyJudge
) -> GateResult:
    match gate:
        case SizeGate():
            return _judge_size(name, gate, restorer)
        case ParametersGate():
            return exact(name, gate, gate.limit, parameters(restorer), "parameters", {})
        case MacsGate():
            protocol = {"counter": "torch.utils.flop_counter / 2", "image": list(gate.image)}
            return exact(name, gate, gate.limit, macs(restorer, gate.image), "MACs", protocol)
        case ActivationsGate():
            used = activation_bytes(restorer, (1, 3, *gate.image), training=False)
            protocol = {"counter": "feature maps alive at one time", "dtype": "float32", "image": list(gate.image)}
            return exact(name, gate, gate.limit_bytes, used, "bytes", protocol)
        case LatencyGate():
            return latencies.judge(name, gate)
        case GpuMemoryGate():
            return _judge_gpu_memory(name, gate, restorer, device)
        case RamGate():
            used = restoring_ram_bytes(restorer, gate.image, device.device)
            protocol = {"of": "this process, at its highest", "device": device.name, "image": list(gate.image)}
            return exact(name, gate, gate.limit_bytes, used, "bytes", protocol)


def _judge_size(name: str, gate: SizeGate, restorer: Restorer) -> GateResult:
    protocol: dict[str, Any] = {"file": gate.file, "dtype": gate.dtype}
    try:
        exported = _export(restorer, gate)
    except BenchmarkError as error:  # what writes the file is not installed
        return not_measured(name, gate, gate.limit_bytes, "bytes", str(error), protocol)
    protocol["sha256"] = hashlib.sha256(exported).hexdigest()
    return exact(name, gate, gate.limit_bytes, len(exported), "bytes", protocol)


def _export(restorer: Restorer, gate: SizeGate) -> bytes:
    if gate.file == "onnx":
        return onnx_bytes(restorer, REFERENCE_IMAGE, dtype=gate.dtype)
    return weight_bytes(restorer, getattr(torch, gate.dtype))


def _judge_gpu_memory(name: str, gate: GpuMemoryGate, restorer: Restorer, device: MeasuringDevice) -> GateResult:
    if device.device.type != "cuda" or not is_at_hand(gate.device, device):
        reason = no_such_device(gate.device or "GPU", device)
        conditions = {"device": gate.device or "GPU", "image": list(gate.image)}
        return not_measured(name, gate, gate.limit_bytes, "bytes", reason, conditions)
    used = restoring_gpu_bytes(restorer, gate.image, device.device)
    protocol = {"of": "torch, without CUDA's own context", "device": device.name, "image": list(gate.image)}
    return exact(name, gate, gate.limit_bytes, used, "bytes", protocol)
