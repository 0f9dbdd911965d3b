"""The state of an unfinished stage on disk, so that an interrupted run goes on where it stood."""

import io
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch.optim import AdamW

from benchmark.files import write_bytes
from benchmark.model import Restorer

CurveRow = tuple[int, str, float]
"""Step, name of the quantity, value."""


@dataclass(frozen=True)
class Reached:
    """How far a stored state had come."""

    step: int
    seconds: float
    curve: list[CurveRow]
    left_out: tuple[int, ...] = ()
    """The steps that were taken back because loss or gradient were not finite."""


def save_state(file: Path, restorer: Restorer, optimizer: AdamW, reached: Reached) -> None:
    """Write the state, whole or not at all."""
    state = {
        "restorer": restorer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": reached.step,
        "seconds": reached.seconds,
        "curve": [list(row) for row in reached.curve],
        "left_out": list(reached.left_out),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(file, buffer.getvalue())


def load_state(file: Path, restorer: Restorer, optimizer: AdamW) -> Reached:
    """Load what `save_state` wrote into the network and the optimiser; step 0 if there is nothing readable."""
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except (FileNotFoundError, RuntimeError, UnpicklingError, EOFError):
        return Reached(0, 0.0, [])
    restorer.load_state_dict(state["restorer"])
    optimizer.load_state_dict(state["optimizer"])
    curve = [(row[0], row[1], row[2]) for row in state["curve"]]
    return Reached(state["step"], state["seconds"], curve, tuple(state.get("left_out", ())))
