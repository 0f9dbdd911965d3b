"""What is judged, on what, and the outcome: passed, failed, inconclusive, or not measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.experiment.schema import AnyGate
from benchmark.model import Restorer
from reports.schema import GateResult


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


def exact(name: str, gate: AnyGate, limit: int, measured: int, unit: str, protocol: dict[str, Any]) -> GateResult:
    """Return the result for a number without uncertainty."""
    return GateResult(
        name=name,
        quantity=gate.quantity,
        limit=limit,
        measured=measured,
        unit=unit,
        result="passed" if measured <= limit else "failed",
        protocol=protocol,
        reject=gate.reject,
    )


def not_measured(
    name: str, gate: AnyGate, limit: float, unit: str, reason: str, conditions: Mapping[str, Any]
) -> GateResult:
    """No number, and why: never a guess from another device."""
    return GateResult(
        name=name,
        quantity=gate.quantity,
        limit=limit,
        measured=None,
        unit=unit,
        result="not_measured",
        protocol={**conditions, "reason": reason},
        reject=gate.reject,
    )


def is_at_hand(name: str | None, device: MeasuringDevice) -> bool:
    """Whether the device that a gate names is the one here."""
    return name is None or name.lower() in device.name.lower()


def no_such_device(name: str | None, device: MeasuringDevice) -> str:
    return f"no {name} here; this machine has {device.name}"
