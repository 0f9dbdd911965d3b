"""The full protocol: fresh processes one after the other; each interleaves the networks, with a reference network.

Networks are interleaved in ABBA order so that drift affects all of them equally. The reference network is the same
everywhere: it shows whether the machine itself drifted.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError, ProcessError
from benchmark.gates.latency import Call, Conditions, Latency, ModelSamples, WarmUp, spread, summarise
from benchmark.gates.latency_quick import ModelTimer, no_garbage_collection, prepare_timer, warm_up
from benchmark.gates.latency_reference import REFERENCE_SIZE, make_reference
from benchmark.gates.latency_stability import (
    Load,
    load_doubts,
    load_since,
    read_counters,
    reference_doubts,
    spread_doubts,
    warm_up_doubts,
)
from benchmark.inference.device_setup import Machine, configure_process
from benchmark.model import Restorer, build
from benchmark.model.pruning import with_shapes
from benchmark.model.weight_files import read_weights
from benchmark.processes import run_in_fresh_process
from benchmark.registry import Registry

REFERENCE = "reference"
_BLOCK_SECONDS = 0.4
_LEAST_BLOCK = 3
"""Calls of one network in a row. The first is not counted: the caches hold data of the network before."""


class MeasuringError(BenchmarkError):
    """A process could not measure."""


@dataclass(frozen=True)
class TimedModel:
    """A network to be timed: its resolved configuration, its weights, and the conditions."""

    label: str
    model: Mapping[str, Any]
    weights: Path
    """In safetensors; or an ONNX file, which is the network."""
    conditions: Conditions


@dataclass(frozen=True)
class Budget:
    """How long to measure. A process ends when each of its networks has had `runs` calls or `seconds`."""

    processes: int = 5
    runs: int = 60
    seconds: float = 3.0
    warm_up_runs: int = 20
    least_warm_up_seconds: float = 1.0
    most_warm_up_seconds: float = 10.0


@dataclass(frozen=True)
class WorkerJob:
    """What a fresh process measures, and with which settings."""

    models: Sequence[TimedModel]
    """All must ask for the same number of threads."""
    machine: Machine
    plugins: tuple[Path, ...]
    budget: Budget


@dataclass(frozen=True)
class WorkerSamples:
    """What one process measured: samples by label, those of the reference network included."""

    samples: Mapping[str, ModelSamples]
    load: Load


def measure_job(job: WorkerJob) -> Iterator[WorkerSamples]:
    """Yield what each process measured, as soon as it is done. Nothing else should run meanwhile.

    Raises:
        MeasuringError: A network cannot be measured, or the process died.
    """
    for _ in range(job.budget.processes):
        try:
            yield run_in_fresh_process(run_job, job)
        except ProcessError as error:
            raise MeasuringError(f"latency: {error}") from None


def summarise_job(job: WorkerJob, processes: Sequence[WorkerSamples]) -> list[Latency]:
    """Return one latency for each network of a job, in its order, from what all processes measured."""
    reference_ms = [
        statistics.median(call.image_ms for call in process.samples[REFERENCE].calls) for process in processes
    ]
    reference = statistics.median(reference_ms)
    shared_doubts = [*load_doubts([process.load for process in processes]), *reference_doubts(reference_ms)]
    waited = [process.load.waited_share for process in processes if process.load.waited_share is not None]
    latencies: list[Latency] = []
    for model in job.models:
        samples = [process.samples[model.label] for process in processes]
        spreads, warm_ups = [spread(process.calls) for process in samples], [process.warm_up for process in samples]
        doubts = [*shared_doubts, *spread_doubts(spreads), *warm_up_doubts(warm_ups)]
        latencies.append(summarise("full", model.conditions, samples, doubts, max(waited, default=None), reference))
    return latencies


def run_job(job: WorkerJob) -> WorkerSamples:
    """Measure every network of a job in this process. Raises MeasuringError."""
    try:
        return _measure_here(job)
    except Exception as error:  # of a user's network, or of a runtime
        kind = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
        raise MeasuringError(f"{kind}{error}") from error


def _measure_here(job: WorkerJob) -> WorkerSamples:
    threads = job.models[0].conditions.threads or job.machine.threads
    configure_process(threads, keep_memory=job.machine.allocator == "kept")
    device, budget = job.machine.device, job.budget
    timers: dict[str, ModelTimer] = {}
    warm_ups: dict[str, WarmUp] = {}
    for label, network, conditions in _networks(job):
        ready = network if isinstance(network, bytes) else network.to(device).eval()
        timers[label] = prepare_timer(ready, conditions, device)
        warm_ups[label] = warm_up(
            timers[label].call, budget.warm_up_runs, budget.least_warm_up_seconds, budget.most_warm_up_seconds
        )
    with no_garbage_collection():
        before = read_counters()
        interleave(list(timers.values()), budget)
        load = load_since(before, device)
    samples = {
        label: ModelSamples(timer.cold_start_ms, timer.preparation_seconds, warm_ups[label], tuple(timer.calls))
        for label, timer in timers.items()
    }
    return WorkerSamples(samples, load)


def _networks(job: WorkerJob) -> Iterator[tuple[str, Restorer | bytes, Conditions]]:
    for model in job.models:
        if model.weights.suffix == ".onnx":
            yield model.label, model.weights.read_bytes(), model.conditions
            continue
        weights = read_weights(model.weights)
        restorer = with_shapes(build(model.model, 0, Registry(job.plugins)), weights)
        restorer.load_state_dict(weights)
        yield model.label, restorer, model.conditions
    yield REFERENCE, make_reference(), Conditions(REFERENCE_SIZE, folded=False)


def interleave(timers: Sequence[ModelTimer], budget: Budget) -> None:
    """Call the networks in blocks, in ABBA order, at least twice each and until all have used their budget."""
    rounds = 0
    while pending := [timer for timer in timers if rounds < 2 or not _has_enough(timer, budget)]:
        for timer in pending if rounds % 2 == 0 else reversed(pending):
            timer.calls.extend(_block(timer.call))
        rounds += 1


def _has_enough(timer: ModelTimer, budget: Budget) -> bool:
    return len(timer.calls) >= budget.runs or sum(call.image_ms for call in timer.calls) >= budget.seconds * 1000


def _block(call: Callable[[], Call]) -> list[Call]:
    """Return calls of one network in a row, without the first."""
    calls: list[Call] = []
    while len(calls) < _LEAST_BLOCK or sum(made.image_ms for made in calls) < _BLOCK_SECONDS * 1000:
        calls.append(call())
    return calls[1:]
