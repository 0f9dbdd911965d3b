"""What one fresh process of the full protocol does: every network in turn, there and back, the reference among them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.gates.latency.machine_load import Load, load_since, read_counters
from benchmark.gates.latency.prepare import prepare
from benchmark.gates.latency.reference_model import SIZE, make_reference
from benchmark.gates.latency.result import Conditions
from benchmark.gates.latency.timing import Call, WarmUp, make_images, no_collection, timed, warm_up
from benchmark.inference.process_setup import set_up
from benchmark.model import Restorer, build
from benchmark.model.weight_files import read_weights
from benchmark.registry import Registry

REFERENCE = "reference"
_BLOCK_SECONDS = 0.4
_LEAST_BLOCK = 3
"""Calls of one network before the next has its turn. The first is not counted: it finds the other's data in cache."""


class MeasuringError(BenchmarkError):
    """A process that should have measured did not."""


@dataclass(frozen=True)
class Subject:
    """A network to be timed: its resolved configuration, its weights, and under which conditions."""

    label: str
    model: Mapping[str, Any]
    weights: Path
    conditions: Conditions


@dataclass(frozen=True)
class Effort:
    """How long to measure: a process ends its rounds when every network has been called so often, or for so long."""

    processes: int = 5
    runs: int = 60
    seconds: float = 3.0
    warm_up_runs: int = 20
    least_warm_up_seconds: float = 1.0
    most_warm_up_seconds: float = 10.0


@dataclass(frozen=True)
class Job:
    """All that a fresh process is told."""

    subjects: tuple[Subject, ...]
    device: str
    threads: int
    keep_memory: bool
    plugins: tuple[Path, ...]
    effort: Effort


@dataclass(frozen=True)
class Sample:
    """What one process found about one network."""

    cold_start_ms: float
    preparation_seconds: float
    warm_up: WarmUp
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Found:
    """What one process found: by label, the reference's among them."""

    samples: Mapping[str, Sample]
    load: Load


@dataclass
class _Turn:
    """A network whose calls are being collected."""

    call: Callable[[], Call]
    cold_start_ms: float
    preparation_seconds: float
    warm_up: WarmUp
    calls: list[Call]


def run_job(job: Job) -> Found:
    """Measure every network of a job in this process. Raises MeasuringError."""
    try:
        return _measure(job)
    except BenchmarkError as error:
        raise MeasuringError(str(error)) from error
    except Exception as error:  # of a user's network, or of a runtime
        raise MeasuringError(f"{type(error).__name__}: {error}") from error


def _measure(job: Job) -> Found:
    set_up(job.threads, keep_memory=job.keep_memory)
    device, registry = torch.device(job.device), Registry(job.plugins)
    turns = {
        subject.label: _begin(_built(subject, registry, device), subject.conditions, device, job.effort)
        for subject in job.subjects
    }
    turns[REFERENCE] = _begin(make_reference().to(device), Conditions(SIZE, folded=False), device, job.effort)
    with no_collection():
        before = read_counters()
        _go_round(list(turns.values()), job.effort)
        load = load_since(before, device)
    samples = {
        label: Sample(turn.cold_start_ms, turn.preparation_seconds, turn.warm_up, tuple(turn.calls))
        for label, turn in turns.items()
    }
    return Found(samples, load)


def _built(subject: Subject, registry: Registry, device: torch.device) -> Restorer:
    restorer = build(subject.model, 0, registry)
    restorer.load_state_dict(read_weights(subject.weights))
    return restorer.to(device).eval()


def _begin(restorer: Restorer, conditions: Conditions, device: torch.device, effort: Effort) -> _Turn:
    """Make ready, call once cold, warm up."""
    runner, preparation_seconds = prepare(restorer, conditions, device)
    call = timed(runner, make_images(conditions.image), device, conditions.tiling)
    cold_start_ms = call().image_ms
    warm = warm_up(call, effort.warm_up_runs, effort.least_warm_up_seconds, effort.most_warm_up_seconds)
    return _Turn(call, cold_start_ms, preparation_seconds, warm, [])


def _go_round(turns: Sequence[_Turn], effort: Effort) -> None:
    """A B B A and so on, so that what drifts falls on all alike, until every network has had enough."""
    rounds = 0
    while rounds < 2 or not all(_has_enough(turn, effort) for turn in turns):
        for turn in turns if rounds % 2 == 0 else reversed(turns):
            if rounds < 2 or not _has_enough(turn, effort):
                turn.calls.extend(_block(turn.call))
        rounds += 1


def _has_enough(turn: _Turn, effort: Effort) -> bool:
    return len(turn.calls) >= effort.runs or sum(call.image_ms for call in turn.calls) >= effort.seconds * 1000


def _block(call: Callable[[], Call]) -> list[Call]:
    """Calls of one network in a row, the first left out."""
    calls: list[Call] = []
    while len(calls) < _LEAST_BLOCK or sum(call.image_ms for call in calls) < _BLOCK_SECONDS * 1000:
        calls.append(call())
    return calls[1:]
