"""What `auto` chooses: the networks that keep limits on this machine, and the effort that fits a budget."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.audit.starter_recipe import Effort, Rival
from benchmark.errors import BenchmarkError
from benchmark.experiment.document import Document
from benchmark.experiment.resolve import resolve_model
from benchmark.gates.latency import Conditions
from benchmark.gates.latency_quick import quick_latency
from benchmark.gates.latency_stability import MOST_WAITED, load_since, read_counters
from benchmark.inference.device_setup import Machine, torch_threads
from benchmark.inference.runtimes import prepare
from benchmark.model import Restorer, build
from benchmark.model.restorer import fold
from benchmark.model.weight_files import weight_bytes
from benchmark.registry import Registry

_QUICK_SECONDS = 0.4
_CPU_CALLS = 3
ENOUGH_STEPS = 600
"""Below this, further rows, rates and seeds are left out before steps are."""
_MOST_STEPS = 40_000
_RATES = {1: (3e-3,), 2: (2e-3, 6e-3), 3: (1e-3, 3e-3, 8e-3)}
"""Learning rates that suit all networks of `RIVALS`, by how many may be tried."""
_EFFORTS = ((4, 3, 2), (3, 3, 2), (3, 3, 1), (3, 2, 1), (2, 2, 1), (1, 2, 1), (1, 1, 1))
"""Rows, rates and seeds, from the most to the least."""


@dataclass(frozen=True)
class Limits:
    """What a network may cost. None: anything."""

    image: tuple[int, int]
    """Height and width in pixels of the image that the latency is for."""
    runtime: str
    milliseconds: float | None = None
    weight_bytes: int | None = None


@dataclass(frozen=True)
class MeasuredRival:
    """A network and what it costs here."""

    rival: Rival
    milliseconds: float
    """Of one image: what a quarter of the calls keep."""
    weight_bytes: int
    is_least: bool = False
    """The machine was busy: on an idle one it takes so many milliseconds at least, perhaps more."""

    def over(self, limits: Limits) -> str:
        """Return which limit is exceeded, in words; empty if none is."""
        if limits.weight_bytes is not None and self.weight_bytes > limits.weight_bytes:
            return f"{self.weight_bytes / 1e6:.2f} MB of at most {limits.weight_bytes / 1e6:g}"
        if limits.milliseconds is not None and self.milliseconds > limits.milliseconds:
            return f"{self.milliseconds:.1f} ms of at most {limits.milliseconds:g}"
        return ""


def measure_rival(rival: Rival, head: str, limits: Limits, machine: Machine, registry: Registry) -> MeasuredRival:
    """Weigh and time an untrained network.

    Raises:
        RuntimeUnavailable: The runtime is missing or cannot run this network.
    """
    settings = {"backbone": dict(rival.backbone), "head": {"name": head}}
    restorer = build(resolve_model(Document({"model": settings}, {}), registry), 0, registry).to(machine.device).eval()
    conditions, size = Conditions(limits.image, limits.runtime), len(weight_bytes(restorer, torch.float32))
    if machine.device.type != "cpu":
        latency = quick_latency(restorer, conditions, machine.device, _QUICK_SECONDS)
        return MeasuredRival(rival, latency.image_ms["p25"].value, size)
    before = read_counters()
    single = _single_thread_milliseconds(restorer, conditions, machine)
    least = MeasuredRival(rival, single / machine.threads, size, is_least=True)
    if (load_since(before, machine.device).waited_share or 0.0) > MOST_WAITED:
        return least
    latency = quick_latency(restorer, conditions, machine.device, _QUICK_SECONDS)
    milliseconds = latency.image_ms["p25"].value
    # Threads that wait for each other, one of which another program keeps from running, seem to work.
    is_busy = (latency.waited_share or 0.0) > MOST_WAITED or milliseconds > single
    return least if is_busy else MeasuredRival(rival, milliseconds, size)


def _single_thread_milliseconds(restorer: Restorer, conditions: Conditions, machine: Machine) -> float:
    """Return the CPU time of one thread for an image, which other programs do not change."""
    with torch_threads(1):
        prepared = prepare(conditions.runtime, fold(restorer), conditions.image, machine.device, conditions.dtype)
        image = prepared.to_input(np.zeros((*conditions.image, 3), np.uint8))
        times: list[float] = []
        while len(times) < _CPU_CALLS:
            begin = time.process_time()
            prepared.network(image)
            times.append(time.process_time() - begin)
    return 1000 * min(times)


def within_limits(
    rivals: Sequence[Rival],
    limits: Limits,
    measure: Callable[[Rival], MeasuredRival],
    note: Callable[[str], None],
    is_late: Callable[[], bool] = lambda: False,
) -> tuple[Rival, ...]:
    """Return the networks that keep the limits on this machine, in their order.

    Args:
        rivals: The networks to choose from.
        limits: What they may cost.
        measure: Weighs and times a network.
        note: Called with a line for each network.
        is_late: Whether no further network shall be tried, once one keeps the limits.

    Raises:
        BenchmarkError: None keeps them.
    """
    passing: list[Rival] = []
    over: dict[str, str] = {}
    for index, rival in enumerate(rivals):
        if passing and is_late():
            names = ", ".join(other.name for other in rivals[index:])
            note(f"not tried, to leave the budget for training: {names}")
            break
        measured = measure(rival)
        excess = measured.over(limits)
        least = "at least " if measured.is_least else ""
        note(
            f"{rival.name}: {least}{measured.milliseconds:.1f} ms, {measured.weight_bytes / 1e6:.2f} MB"
            f"{f'; left out: {excess}' if excess else ''}"
        )
        if excess:
            over[rival.name] = excess
        else:
            passing.append(rival)
    if not passing:
        name, excess = next(iter(over.items()))
        height, width = limits.image
        raise BenchmarkError(
            f"no network keeps the limits for an image of {height} x {width} pixels on this machine, e.g. {name}: "
            f"{excess}; raise --limit-ms or --limit-mb, or give a smaller --image H W"
        )
    return tuple(passing)


def fitting_effort(step_seconds: Mapping[Rival, float], seconds: float) -> Effort:
    """Return the most rows, learning rates and seeds that leave each training enough steps, else fewer.

    Args:
        step_seconds: Networks, in the order in which they are taken -> what a step takes, divided by the workers that
            run side by side.
        seconds: How long all trainings together may take.
    """
    efforts = [
        _effort(dict(list(step_seconds.items())[:rows]), seconds, rates, seeds) for rows, rates, seeds in _EFFORTS
    ]
    return next((effort for effort in efforts if effort.steps >= ENOUGH_STEPS), efforts[-1])


def _effort(step_seconds: Mapping[Rival, float], seconds: float, rates: int, seeds: int) -> Effort:
    # With the first seed, the training of the best rate is that of the row itself.
    step = sum(step_seconds.values()) * (rates + seeds - 1)
    return Effort(tuple(step_seconds), max(1, min(int(seconds / step), _MOST_STEPS)), _RATES[rates], seeds)
