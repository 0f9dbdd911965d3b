"""What is judged, on what, and the outcome: passed, failed, inconclusive, or not measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from benchmark.experiment.schema import AnyGate
from benchmark.model import Restorer

Result = Literal["passed", "failed", "inconclusive", "not_measured"]


@dataclass(frozen=True)
class Verdict:
    """One gate's outcome. `protocol` says how it was measured; `interval`: 95 %, where it was measured several times.

    `estimate` stays empty until one is made.
    """

    name: str
    quantity: str
    limit: float
    measured: float | None
    unit: str
    result: Result
    protocol: dict[str, Any]
    reject: bool
    estimate: dict[str, Any] | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Candidate:
    """A network to be judged, and its resolved configuration, from which a fresh process can build it again."""

    restorer: Restorer
    model: Mapping[str, Any]
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class MeasuringDevice:
    """What latencies are measured on; the facts stand in each verdict."""

    device: torch.device
    name: str
    threads: int
    allocator: str


def exact(name: str, gate: AnyGate, limit: int, measured: int, unit: str, protocol: dict[str, Any]) -> Verdict:
    """The verdict on a number without uncertainty."""
    result: Result = "passed" if measured <= limit else "failed"
    return Verdict(name, gate.quantity, limit, measured, unit, result, protocol, gate.reject)


def not_measured(
    name: str, gate: AnyGate, limit: float, unit: str, reason: str, conditions: Mapping[str, Any]
) -> Verdict:
    """No number, and why: never a guess from another device."""
    protocol = {**conditions, "reason": reason}
    return Verdict(name, gate.quantity, limit, None, unit, "not_measured", protocol, gate.reject)


def is_at_hand(wanted: str | None, device: MeasuringDevice) -> bool:
    """Whether the device that a gate names is the one here."""
    return wanted is None or wanted.lower() in device.name.lower()


def no_such_device(wanted: str | None, device: MeasuringDevice) -> str:
    return f"no {wanted} here; this machine has {device.name}"
