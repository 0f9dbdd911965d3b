"""What training changes (weights, optimiser, loss scale, running average), its snapshots and its checkpoint on disk."""

import copy
import hashlib
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW, Optimizer

from benchmark.errors import ExperimentError, RecordError, root_cause, suggestion
from benchmark.experiment.stage import Optimizer as OptimizerSettings
from benchmark.experiment.stage import Schedule, Stage
from benchmark.files import write_bytes
from benchmark.model import Restorer

_DIGEST_BYTES = hashlib.sha256().digest_size
_REFUSALS = (TypeError, ValueError, IndexError, KeyError, AssertionError, ImportError, RuntimeError)
"""How optimisers refuse an option, a value out of range, or a machine without the GPU or the package that they need."""


def make_optimizer(weights: list[nn.Parameter], stage: Stage) -> Optimizer:
    """Return AdamW of torch, fused into one sweep over the weights, or another optimiser of timm.

    Weight decay applies to all weights.

    Raises:
        ExperimentError: timm has no such optimiser, or the optimiser has no such option.
    """
    settings = stage.optimizer
    given: dict[str, Any] = {"betas": settings.betas, "eps": settings.eps, **(settings.model_extra or {})}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        if settings.name == "adamw":
            return AdamW(weights, lr=stage.lr, weight_decay=settings.weight_decay, fused=True, **options)
        from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers  # slow to import

        names = [str(name) for name in list_optimizers()]
        if settings.name not in names:
            raise ExperimentError(f"optimizer: timm has no {settings.name!r}; {suggestion(settings.name, names)}")
        if get_optimizer_info(settings.name).second_order:
            raise ExperimentError(
                f"optimizer: {settings.name!r} needs second derivatives, which training does not compute"
            )
        return create_optimizer_v2(weights, settings.name, stage.lr, settings.weight_decay, **options)
    except _REFUSALS as error:
        raise ExperimentError(
            f"optimizer {settings.name!r} cannot be made with {options}: {root_cause(error)}"
        ) from None


def check_optimizer(stage: Stage) -> None:
    """Make the optimiser of a stage and take a step with it: some check their options only then.

    Raises:
        ExperimentError: It cannot be made, or cannot take a step.
    """
    if _is_sound_adamw(stage.optimizer):
        return
    weights = [nn.Parameter(torch.zeros(shape)) for shape in ((4, 3, 3, 3), (4, 3), (4,))]
    optimizer = make_optimizer(weights, stage)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    try:
        optimizer.step()
    except _REFUSALS as error:
        settings = stage.optimizer.model_dump(exclude={"name"}, exclude_none=True)
        reason = f"optimizer {stage.optimizer.name!r} cannot take a step with {settings}: {root_cause(error)}"
        raise ExperimentError(reason) from None


def _is_sound_adamw(settings: OptimizerSettings) -> bool:
    """Return whether the settings are those of AdamW within its ranges: to make one takes torch a second."""
    betas = settings.betas or ()
    has_betas = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
    return settings.name == "adamw" and has_betas and not settings.model_extra


def lr_at(stage: Stage, step: int) -> float:
    """Return the learning rate of a step in 1..`stage.steps`: linear warm-up to `lr`, then the schedule by its name.

    A pure function of the step, so a resumed stage needs no stored schedule. Cosine annealing without restarts:
    Loshchilov & Hutter, SGDR, ICLR 2017, equation 5.
    """
    schedule = stage.schedule
    if step <= schedule.warmup_steps:
        return stage.lr * step / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(stage.steps - schedule.warmup_steps, 1)
    return stage.lr * _share_of_full_rate(schedule, min(done, 1.0))


def _share_of_full_rate(schedule: Schedule, done: float) -> float:
    """Return the share of the full rate after the share `done` (0 to 1) of the steps that follow the warm-up."""
    final = schedule.final_share
    match schedule.name:
        case "constant":
            return 1.0
        case "cosine":
            return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
        case "linear":
            return final + (1 - final) * (1 - done)
        case "polynomial":
            return final + (1 - final) * (1 - done) ** schedule.power
        case "exponential":
            return final**done
        case "step":
            return schedule.factor ** sum(done > milestone for milestone in schedule.milestones)


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
        ExperimentError: timm has no such optimiser, the optimiser has no such option, or gradients would be wrong.
    """
    _check_gradients(restorer, stage, device)
    set_memory_format(restorer, stage)
    average = None
    if stage.ema:
        from timm.utils.model_ema import ModelEmaV3  # slow to import, and few stages need it

        average = ModelEmaV3(restorer, stage.ema.decay, use_warmup=stage.ema.warmup)
    scaler = GradScaler(device.type, enabled=stage.precision == "float16")
    weights = [parameter for parameter in restorer.parameters() if parameter.requires_grad]
    return TrainState(restorer, make_optimizer(weights, stage), scaler, average)


def _check_gradients(restorer: Restorer, stage: Stage, device: torch.device) -> None:
    """Refuse bfloat16 on a CPU where torch's weight gradients would be unwritten memory; see `backbones._depthwise`."""
    if device.type != "cpu" or (stage.precision, stage.memory_format) != ("bfloat16", "channels_last"):
        return
    for name, module in restorer.named_modules():
        if not isinstance(module, nn.Conv2d) or type(module).forward is not nn.Conv2d.forward:
            continue
        if 1 < module.groups == module.in_channels and max(module.dilation) > 1:
            raise ExperimentError(
                f"precision: bfloat16: on a CPU torch computes wrong gradients of depthwise convolutions with dilation "
                f"({name}); use precision: float32, or memory_format: contiguous"
            )


def set_memory_format(restorer: Restorer, stage: Stage) -> torch.memory_format:
    """Put the weights into the stage's memory format, in place; return the format, which images must have, too."""
    memory_format = torch.channels_last if stage.memory_format == "channels_last" else torch.contiguous_format
    restorer.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]  # torch's stubs lack this overload
    return memory_format


@dataclass(frozen=True)
class Checkpoint:
    """How far an unfinished stage has come; with its train state, all that a resumed stage needs."""

    step: int = 0
    seconds: float = 0.0
    """Spent on training so far."""
    curve: list[CurveRow] = field(default_factory=list[CurveRow])
    skipped_steps: tuple[int, ...] = ()
    """The steps that were undone because loss or gradient were not finite."""
    best_psnr: float = -math.inf
    """The highest PSNR on val so far, of a stage whose output are the best weights."""
    best_weights: dict[str, Any] | None = None
    """The weights with this PSNR, on the CPU, with buffers."""


def save_checkpoint(file: Path, state: TrainState, checkpoint: Checkpoint) -> None:
    """Write checkpoint and train state into one file, whole or not at all; it ends with the SHA-256 of the rest."""
    buffer = io.BytesIO()
    torch.save({"train_state": state.state_dict(), "checkpoint": vars(checkpoint)}, buffer)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
    write_bytes(file, buffer.getvalue())


def read_state(file: Path) -> memoryview | None:
    """Return the content of a file of `save_checkpoint`, without its SHA-256; None where there is no file.

    Raises:
        RecordError: The file is not what was stored.
    """
    try:
        data = memoryview(file.read_bytes())
    except FileNotFoundError:
        return None
    if hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != bytes(data[-_DIGEST_BYTES:]):
        raise RecordError(f"{file}: is not what was stored (its SHA-256 differs)")
    return data[:-_DIGEST_BYTES]


def load_checkpoint(file: Path, state: TrainState) -> Checkpoint:
    """Load a file of `save_checkpoint` into the train state; return step 0 where there is no file.

    Raises:
        RecordError: The file is not what was stored. The train state is as it was.
    """
    data = read_state(file)
    if data is None:
        return Checkpoint()
    content = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    state.restore(content["train_state"])
    return Checkpoint(**content["checkpoint"])


def stored_progress(file: Path) -> tuple[int, float]:
    """Return step and seconds of a file of `save_checkpoint`; zeros where there is no file.

    Raises:
        RecordError: The file is damaged.
    """
    data = read_state(file)
    if data is None:
        return 0, 0.0
    checkpoint = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")["checkpoint"]
    return int(checkpoint["step"]), float(checkpoint["seconds"])
