"""Check the limits of an experiment against measurements. A gate never passes on a device that is not here.

Every gate measures the network as it is shipped: folded for inference, or the file in 8 bits.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmark.errors import BenchmarkError, RuntimeUnavailable
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
from benchmark.gates.cost import (
    REFERENCE_IMAGE,
    activation_bytes,
    macs,
    parameters,
    restoring_gpu_bytes,
    restoring_ram_bytes,
)
from benchmark.gates.latency import Conditions, Latency, latency_record, scaled
from benchmark.gates.latency_full import Budget, MeasuringError, TimedModel, WorkerJob, measure_job, summarise_job
from benchmark.gates.latency_quick import quick_latency
from benchmark.inference.device_setup import Machine
from benchmark.inference.int8 import FileNetwork
from benchmark.inference.onnx import onnx_bytes
from benchmark.inference.onnx_runtimes import FILE_RUNTIMES
from benchmark.inference.runtimes import runtime_names, unavailable
from benchmark.model import Restorer
from benchmark.model.restorer import fold
from benchmark.model.weight_files import weight_bytes, write_weights
from reports.schema import GateOutcome, GateResult

_ROOM = 0.5
"""Share of a limit below which the quick protocol passes a network."""


def check_gates(
    gates: Mapping[str, AnyGate],
    restorer: Restorer,
    model: Mapping[str, Any],
    machine: Machine,
    plugins: tuple[Path, ...] = (),
    int8_file: bytes | None = None,
    quiet_ms: float | None = None,
) -> list[GateResult]:
    """Return the result of every gate, in the order of the experiment file; see `check_gate_sets`."""
    return check_gate_sets({"": gates}, restorer, model, machine, plugins, int8_file, quiet_ms)[""]


def check_gate_sets(
    sets: Mapping[str, Mapping[str, AnyGate]],
    restorer: Restorer,
    model: Mapping[str, Any],
    machine: Machine,
    plugins: tuple[Path, ...] = (),
    int8_file: bytes | None = None,
    quiet_ms: float | None = None,
) -> dict[str, list[GateResult]]:
    """Return the results of several sets of gates; what several gates ask for is counted and measured once.

    Args:
        sets: Name -> name of a gate -> gate.
        restorer: The network, on the device of the machine; it stays as it is.
        model: Its resolved configuration, from which a fresh process builds it again.
        machine: Device, threads and allocator of this process.
        plugins: Files with components of the user.
        int8_file: The content of the ONNX file that is shipped in place of the network's weights; it is weighed
            whatever file a gate names, and timed in ONNX Runtime unless a gate names OpenVINO.
        quiet_ms: What the reference network takes while nothing else runs; latencies are then scaled by what it takes
            beside them. None: they are as measured.
    """
    folded = fold(restorer)

    @cache
    def count_macs(image: tuple[int, int]) -> int:
        return macs(folded, image)

    @cache
    def measure(protocol: str, conditions: Conditions) -> Latency:
        if protocol == "quick":
            return quick_latency(int8_file or restorer, conditions, machine.device, quiet_ms=quiet_ms)
        with TemporaryDirectory() as folder:
            weights = Path(folder) / ("network.onnx" if int8_file else "weights.safetensors")
            if int8_file:
                weights.write_bytes(int8_file)
            else:
                write_weights(restorer, weights)
            job = WorkerJob([TimedModel("network", model, weights, conditions)], machine, plugins, Budget())
            latency = summarise_job(job, list(measure_job(job)))[0]
            # With other threads the reference network takes another time in silence, too.
            return latency if quiet_ms is None or conditions.threads else scaled(latency, quiet_ms)

    results_of_sets = {
        set_name: [_check(name, gate, folded, int8_file, machine, count_macs, measure) for name, gate in gates.items()]
        for set_name, gates in sets.items()
    }
    if quiet_ms is None:
        return results_of_sets
    return {
        set_name: [_marked_as_scaled(result, quiet_ms) for result in results]
        for set_name, results in results_of_sets.items()
    }


def _marked_as_scaled(result: GateResult, quiet_ms: float) -> GateResult:
    if result.quantity != "latency" or result.measured is None:
        return result
    return result.model_copy(update={"protocol": {**result.protocol, "scaled_to_reference_ms": quiet_ms}})


def _check(
    name: str,
    gate: AnyGate,
    restorer: Restorer,
    int8_file: bytes | None,
    machine: Machine,
    count_macs: Callable[[tuple[int, int]], int],
    measure: Callable[[str, Conditions], Latency],
) -> GateResult:
    match gate:
        case SizeGate():
            return _check_size(name, gate, restorer, int8_file)
        case ParametersGate():
            return _exact(name, gate, gate.limit, parameters(restorer), "parameters", {})
        case MacsGate():
            protocol = {"counter": "torch.utils.flop_counter / 2", "image": list(gate.image)}
            return _exact(name, gate, gate.limit, count_macs(gate.image), "MACs", protocol)
        case ActivationsGate():
            peak = activation_bytes(restorer, (1, 3, *gate.image), training=False)
            protocol = {"counter": "feature maps alive at one time", "dtype": "float32", "image": list(gate.image)}
            return _exact(name, gate, gate.limit_bytes, peak, "bytes", protocol)
        case LatencyGate():
            return _check_latency(name, gate, machine, measure, is_int8=int8_file is not None)
        case GpuMemoryGate():
            return _check_gpu_memory(name, gate, restorer, machine)
        case RamGate():
            network = FileNetwork(int8_file) if int8_file else restorer
            peak = restoring_ram_bytes(network, gate.image, machine.device)
            protocol = {"of": "this process, at its highest", "device": machine.device_name, "image": list(gate.image)}
            return _exact(name, gate, gate.limit_bytes, peak, "bytes", protocol)


def _check_size(name: str, gate: SizeGate, restorer: Restorer, int8_file: bytes | None) -> GateResult:
    protocol: dict[str, Any] = {"file": gate.file, "dtype": gate.dtype}
    if int8_file:
        protocol = {"file": "onnx", "dtype": "int8"}
    try:
        if int8_file:
            exported = int8_file
        elif gate.file == "onnx":
            exported = onnx_bytes(restorer, REFERENCE_IMAGE, dtype=gate.dtype)
        else:
            exported = weight_bytes(restorer, getattr(torch, gate.dtype))
    except BenchmarkError as error:  # the packages that write the file are not installed
        return _not_measured(name, gate, gate.limit_bytes, "bytes", str(error), protocol)
    protocol["sha256"] = hashlib.sha256(exported).hexdigest()
    return _exact(name, gate, gate.limit_bytes, len(exported), "bytes", protocol)


def _check_gpu_memory(name: str, gate: GpuMemoryGate, restorer: Restorer, machine: Machine) -> GateResult:
    image = list(gate.image)
    if reason := missing_device(gate.device, machine, gpu=True):
        protocol = {"device": gate.device or "GPU", "image": image}
        return _not_measured(name, gate, gate.limit_bytes, "bytes", reason, protocol)
    peak = restoring_gpu_bytes(restorer, gate.image, machine.device)
    protocol = {"of": "torch, without CUDA's own context", "device": machine.device_name, "image": image}
    return _exact(name, gate, gate.limit_bytes, peak, "bytes", protocol)


def _check_latency(
    name: str, gate: LatencyGate, machine: Machine, measure: Callable[[str, Conditions], Latency], *, is_int8: bool
) -> GateResult:
    """Check a latency gate; it is not measured where the device or the runtime it names is missing."""
    facts: dict[str, Any] = {"device": gate.device or machine.device_name, "image": list(gate.image)}
    if reason := missing_device(gate.device, machine):
        return _not_measured(name, gate, gate.limit_ms, "ms", reason, facts)
    runtime = gate.runtime if not is_int8 or gate.runtime in ("best", *FILE_RUNTIMES) else FILE_RUNTIMES[0]
    conditions = Conditions(gate.image, runtime, gate.dtype, gate.threads, gate.tile, gate.overlap)
    more: dict[str, Any] = {"dtype": "int8"} if is_int8 else {}
    try:
        if gate.runtime == "best":
            names = FILE_RUNTIMES if is_int8 else runtime_names(machine.device.type)
            installed = [
                name for name in names if not unavailable(name, torch.device("cpu") if is_int8 else machine.device)
            ]
            quick = {each: measure("quick", replace(conditions, runtime=each)) for each in installed}
            medians = {runtime: latency.image_ms["median"].value for runtime, latency in quick.items()}
            conditions = replace(conditions, runtime=min(medians, key=medians.__getitem__))
            more["runtimes_median_ms"] = medians
        latency = measure("full" if gate.protocol == "full" else "quick", conditions)
    except (RuntimeUnavailable, MeasuringError) as error:
        return _not_measured(name, gate, gate.limit_ms, "ms", str(error), {**facts, "runtime": runtime})
    quantile = latency.image_ms[gate.quantile]
    return _result(
        name,
        gate,
        gate.limit_ms,
        "ms",
        decide_latency(latency, gate),
        {**latency_record(latency, machine), "quantile": gate.quantile, "has_room": has_room(latency, gate), **more},
        quantile.value,
        None if quantile.low is None or quantile.high is None else (quantile.low, quantile.high),
    )


def decide_latency(latency: Latency, gate: LatencyGate) -> GateOutcome:
    """Return `passed` or `failed` only if the whole interval is on one side and the machine was steady.

    The quick protocol has no interval. It fails a network if three of four calls exceed the limit. It passes one with
    room: 99 of 100 calls take less than half the limit, which a busy or throttled machine can only hide.
    """
    quantile = latency.image_ms[gate.quantile]
    is_quick = latency.protocol == "quick" or quantile.low is None or quantile.high is None
    if is_quick and has_room(latency, gate):
        return "passed"
    if latency.unsteady:
        return "inconclusive"
    if is_quick:
        return "failed" if latency.image_ms["p25"].value > gate.limit_ms else "inconclusive"
    assert quantile.low is not None and quantile.high is not None
    if quantile.high <= gate.limit_ms:
        return "passed"
    return "failed" if quantile.low > gate.limit_ms else "inconclusive"


def has_room(latency: Latency, gate: LatencyGate) -> bool:
    """Return whether 99 of 100 calls took less than half the limit."""
    return latency.image_ms["p99"].value < _ROOM * gate.limit_ms


def missing_device(name: str | None, machine: Machine, *, gpu: bool = False) -> str | None:
    """Return in one line that this machine lacks the device that a gate names, e.g. `V100`; None if it has it."""
    is_here = (name or "").lower() in machine.device_name.lower() and (machine.device.type == "cuda" or not gpu)
    return None if is_here else f"no {name or 'GPU'} here; this machine has {machine.device_name}"


def _exact(name: str, gate: AnyGate, limit: int, measured: int, unit: str, protocol: dict[str, Any]) -> GateResult:
    """Return the result for a number without uncertainty."""
    return _result(name, gate, limit, unit, "passed" if measured <= limit else "failed", protocol, measured)


def _not_measured(
    name: str, gate: AnyGate, limit: float, unit: str, reason: str, protocol: Mapping[str, Any]
) -> GateResult:
    """Return a result without a number, with the reason: never a guess from another device."""
    return _result(name, gate, limit, unit, "not_measured", {**protocol, "reason": reason})


def _result(
    name: str,
    gate: AnyGate,
    limit: float,
    unit: str,
    outcome: GateOutcome,
    protocol: dict[str, Any],
    measured: float | None = None,
    interval: tuple[float, float] | None = None,
) -> GateResult:
    return GateResult(
        name=name,
        quantity=gate.quantity,
        limit=limit,
        measured=measured,
        unit=unit,
        result=outcome,
        protocol=protocol,
        reject=gate.reject,
        interval=interval,
    )
