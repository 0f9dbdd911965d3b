"""The state of an unfinished stage on disk, so that an interrupted run goes on where it stood."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from benchmark.files import write_bytes
from benchmark.training.train_state import Learner

CurveRow = tuple[int, str, float]
"""Step, name of the quantity, value."""


@dataclass(frozen=True)
class Best:
    """The weights that reached most on val so far, on the CPU, with buffers."""

    psnr: float
    weights: dict[str, Any]


@dataclass(frozen=True)
class Reached:
    """How far a stored state had come."""

    step: int = 0
    seconds: float = 0.0
    curve: list[CurveRow] = field(default_factory=list[CurveRow])
    left_out: tuple[int, ...] = ()
    """The steps that were taken back because loss or gradient were not finite."""
    best: Best | None = None


def save_state(file: Path, learner: Learner, reached: Reached) -> None:
    """Write the state, whole or not at all."""
    state = {
        "learner": learner.state(),
        "step": reached.step,
        "seconds": reached.seconds,
        "curve": [list(row) for row in reached.curve],
        "left_out": list(reached.left_out),
        "best": [reached.best.psnr, reached.best.weights] if reached.best else None,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(file, buffer.getvalue())


def load_state(file: Path, learner: Learner) -> Reached:
    """Load what `save_state` wrote into the learner; step 0 if there is nothing readable."""
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except (FileNotFoundError, RuntimeError, UnpicklingError, EOFError):
        return Reached()
    if "learner" not in state:  # of an older form
        return Reached()
    learner.load(state["learner"])
    curve = [(row[0], row[1], row[2]) for row in state["curve"]]
    best = Best(*state["best"]) if state["best"] else None
    return Reached(state["step"], state["seconds"], curve, tuple(state["left_out"]), best)
