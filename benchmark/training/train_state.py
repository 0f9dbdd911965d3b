"""What training changes (weights, optimiser, loss scale, running average), its snapshots and its checkpoint on disk."""

import copy
import io
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from benchmark.experiment.stage import Stage
from benchmark.files import write_bytes
from benchmark.model import Restorer
from benchmark.training.optimizer import make_optimizer

if TYPE_CHECKING:  # timm is slow to import
    from timm.utils.model_ema import ModelEmaV3

CurveRow = tuple[int, str, float]
"""Step, name of the quantity, value."""


@dataclass(frozen=True)
class TrainState:
    """A network in training with all that changes beside its weights. Everything changes in place."""

    restorer: Restorer
    optimizer: Optimizer
    scaler: GradScaler
    """Scales the loss in float16, where small gradients would underflow; does nothing in other precisions."""
    average: "ModelEmaV3 | None" = None
    """Running average of weights and buffers; integers, such as BatchNorm's counter, are copied."""

    def state_dict(self) -> dict[str, Any]:
        """Return references to everything that training changes."""
        return {
            "restorer": self.restorer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.module.state_dict() if self.average else {},
        }

    def snapshot(self) -> dict[str, Any]:
        """Return copies on the same device; they need as much memory as weights, optimiser and average together."""
        return copy.deepcopy(self.state_dict())

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Set everything back, in place, to a snapshot, which stays as it is."""
        self.restorer.load_state_dict(snapshot["restorer"])
        self.optimizer.load_state_dict(copy.deepcopy(snapshot["optimizer"]))
        self.scaler.load_state_dict(snapshot["scaler"])
        if self.average:
            self.average.module.load_state_dict(snapshot["average"])

    def averaged_weights(self) -> dict[str, Any]:
        """Return weights and buffers of the running average, or the last ones where the stage has no average."""
        return (self.average.module if self.average else self.restorer).state_dict()


def make_train_state(restorer: Restorer, stage: Stage, device: torch.device) -> TrainState:
    """Return the state in which a stage starts: fresh optimiser, loss scale and average for the given network.

    Args:
        restorer: The network, already on the device. Its weights are put into the stage's memory format, in place.
        stage: Settings of the stage.
        device: Where the stage is trained.

    Raises:
        ExperimentError: timm has no such optimiser, or the optimiser has no such option.
    """
    set_memory_format(restorer, stage)
    average = None
    if stage.ema:
        from timm.utils.model_ema import ModelEmaV3  # slow to import, and few stages need it

        average = ModelEmaV3(restorer, stage.ema.decay, use_warmup=stage.ema.warmup)
    scaler = GradScaler(device.type, enabled=stage.precision == "float16")
    weights = [parameter for parameter in restorer.parameters() if parameter.requires_grad]
    return TrainState(restorer, make_optimizer(weights, stage), scaler, average)


def set_memory_format(restorer: Restorer, stage: Stage) -> torch.memory_format:
    """Put the weights into the stage's memory format, in place; return the format, which images must have, too."""
    memory_format = torch.channels_last if stage.memory_format == "channels_last" else torch.contiguous_format
    restorer.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]  # torch's stubs lack this overload
    return memory_format


@dataclass(frozen=True)
class Best:
    """The weights with the highest PSNR on val so far, on the CPU, with buffers."""

    psnr: float
    weights: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """How far an unfinished stage has come; with its train state, all that a resumed stage needs."""

    step: int = 0
    seconds: float = 0.0
    """Spent on training so far."""
    curve: list[CurveRow] = field(default_factory=list[CurveRow])
    skipped_steps: tuple[int, ...] = ()
    """The steps that were undone because loss or gradient were not finite."""
    best: Best | None = None


def save_checkpoint(file: Path, state: TrainState, checkpoint: Checkpoint) -> None:
    """Write checkpoint and train state into one file, whole or not at all."""
    content = {
        "train_state": state.state_dict(),
        "step": checkpoint.step,
        "seconds": checkpoint.seconds,
        "curve": [list(row) for row in checkpoint.curve],
        "skipped_steps": list(checkpoint.skipped_steps),
        "best": [checkpoint.best.psnr, checkpoint.best.weights] if checkpoint.best else None,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(file, buffer.getvalue())


def load_checkpoint(file: Path, state: TrainState) -> Checkpoint:
    """Load a file of `save_checkpoint` into the train state; return step 0 where there is no readable file."""
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except (FileNotFoundError, RuntimeError, UnpicklingError, EOFError):
        return Checkpoint()
    if "train_state" not in content:  # written by an older version
        return Checkpoint()
    state.restore(content["train_state"])
    curve = [(row[0], row[1], row[2]) for row in content["curve"]]
    best = Best(*content["best"]) if content["best"] else None
    return Checkpoint(content["step"], content["seconds"], curve, tuple(content["skipped_steps"]), best)
