"""The budget of `auto`: what is left of it, what must stay for the end, and what of an experiment is cut to keep it."""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import torch

from benchmark.audit.starter_recipe import Effort, Rival
from benchmark.gates.latency_stability import load_since, read_counters
from benchmark.kept_values import cache_folder, read_checked, write_checked

_FIRST_GUESS: Mapping[str, float] = {"finish": 12.0, "onnx": 40.0}
"""Seconds of an idle machine, until they were measured on it. finish: tests, report, weights and card."""
_ONNX_SHARE = 0.25
"""Most of a budget that is kept for the ONNX file; where that is too little, the command that makes it is printed."""
_AGAIN_SHARE = 0.6
"""Of the time that is left for a training of fewer steps, by the steps measured."""

Training = tuple[Rival, float]
"""A network and a learning rate."""


class Budget:
    """A time for everything, from now on."""

    def __init__(self, seconds: float) -> None:
        """Begin."""
        self.seconds = seconds
        self._started, self._counters = time.perf_counter(), read_counters()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    @property
    def left(self) -> float:
        """Seconds until it is used up; negative afterwards."""
        return self.seconds - self.spent

    @property
    def slowness(self) -> float:
        """How many times longer everything takes because this process waits for a core: 1 on an idle machine."""
        waited = load_since(self._counters, torch.device("cpu")).waited_share or 0.0
        return 1 / max(1 - waited, 0.05)

    def needed(self, work: str) -> float:
        """Return what `finish` or `onnx` will take on this machine, as busy as it is."""
        return self.slowness * _stored(work)

    @property
    def has_room_for_onnx(self) -> bool:
        """Whether the ONNX file is worth its part of the budget."""
        return self.needed("onnx") <= _ONNX_SHARE * self.seconds

    @property
    def for_training(self) -> float:
        """Seconds from now until training must have ended, so that the rest can be done."""
        return self.left - self.needed("finish") - (self.needed("onnx") if self.has_room_for_onnx else 0.0)

    def keep(self, work: str, seconds: float) -> None:
        """Keep what a work took, for the next command on this machine."""
        with suppress(OSError):  # the next command guesses
            file = _file(work)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_checked(file, seconds / self.slowness)


def cut_to_trained(effort: Effort, trained: Collection[Training], *, all_seeds: bool) -> Effort | None:
    """Return the part of an effort whose trainings are finished: most rows times rates; None where none is.

    Args:
        effort: What was begun.
        trained: The networks and rates that are trained with the first seed.
        all_seeds: Whether the further seeds are trained, too.
    """
    options = [
        (tuple(rival for rival in effort.rivals if all((rival, rate) in trained for rate in rates)), rates)
        for count in range(len(effort.rates), 0, -1)
        for rates in combinations(effort.rates, count)
    ]
    rivals, rates = max(options, key=lambda option: len(option[0]) * len(option[1]))
    if not rivals:
        return None
    return replace(effort, rivals=rivals, rates=rates, seeds=effort.seeds if all_seeds else 1)


def shortened(effort: Effort, steps_made: int, seconds: float, left: float) -> Effort | None:
    """Return a single training that fits the time that is left; None where nothing does.

    Args:
        effort: What was begun, of which no training has ended.
        steps_made: Steps of all its trainings together.
        seconds: What they took.
        left: Seconds until training must have ended.
    """
    steps = int(_AGAIN_SHARE * left * steps_made / max(seconds, 1e-9))
    if steps < 1:
        return None
    rate = effort.rates[len(effort.rates) // 2]
    return Effort(effort.rivals[:1], min(steps, effort.steps), (rate,), seeds=1)


def difference(before: Effort, after: Effort) -> str:
    """Return in words what of an effort was cut."""
    parts = [
        f"{len(now)} of {len(then)} {what} ({', '.join(names)})"
        for what, then, now, names in (
            ("networks", before.rivals, after.rivals, _names(after.rivals)),
            ("learning rates", before.rates, after.rates, [f"{rate:g}" for rate in after.rates]),
        )
        if len(now) < len(then)
    ]
    if after.seeds < before.seeds:
        parts.append(f"{after.seeds} of {before.seeds} seeds")
    if after.steps < before.steps:
        parts.append(f"{after.steps} of {before.steps} steps")
    return ", ".join(parts)


def _names(rivals: Sequence[Rival]) -> list[str]:
    return [rival.name for rival in rivals]


def _stored(work: str) -> float:
    with suppress(OSError, TypeError, ValueError):
        return float(read_checked(_file(work)))
    return _FIRST_GUESS[work]


def _file(work: str) -> Path:
    return cache_folder() / "auto" / f"{work}.json"
