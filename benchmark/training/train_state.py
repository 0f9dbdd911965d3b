"""What training changes: weights, optimiser, loss scale and running average, and how a stage's settings make them."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW, Optimizer

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer


@dataclass(frozen=True)
class Learner:
    """A network in training. All of it changes in place; `state` and `load` hold everything that does."""

    restorer: Restorer
    optimizer: Optimizer
    scaler: GradScaler
    """Scales the loss in float16, where small gradients would be lost; does nothing otherwise."""
    average: "_Average | None" = None

    def state(self) -> dict[str, Any]:
        """References, not copies."""
        return {
            "restorer": self.restorer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.module.state_dict() if self.average else {},
        }

    def load(self, state: dict[str, Any]) -> None:
        """In place; `state` stays as it is."""
        self.restorer.load_state_dict(state["restorer"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.module.load_state_dict(state["average"])

    def averaged(self) -> dict[str, Any]:
        """Weights and buffers of the running average, or the last ones where there is none."""
        return (self.average.module if self.average else self.restorer).state_dict()


class _Average:
    """Running average of weights and buffers, integers such as BatchNorm's counter copied."""

    def __init__(self, restorer: Restorer, decay: float, *, warmup: bool) -> None:
        from timm.utils.model_ema import ModelEmaV3  # slow to import, and seldom wanted

        self._average = ModelEmaV3(restorer, decay, use_warmup=warmup)
        self.module: nn.Module = self._average.module

    def update(self, restorer: Restorer, step: int) -> None:
        self._average.update(restorer, step)


def make_learner(restorer: Restorer, stage: Stage, device: torch.device) -> Learner:
    """Optimiser, loss scale and average of a stage for a network that is on the device, all as at its start.

    Puts the weights into the stage's memory format. Raises ExperimentError where timm has no such optimiser or it has
    no such option.
    """
    lay_out(restorer, stage)
    average = _Average(restorer, stage.ema.decay, warmup=stage.ema.warmup) if stage.ema else None
    scaler = GradScaler(device.type, enabled=stage.precision == "float16")
    weights = [parameter for parameter in restorer.parameters() if parameter.requires_grad]
    return Learner(restorer, make_optimizer(weights, stage), scaler, average)


def make_optimizer(weights: list[nn.Parameter], stage: Stage) -> Optimizer:
    """AdamW of torch, fused into one pass over the weights, or another of timm. Weight decay is on all weights.

    Raises ExperimentError where timm has no such optimiser or it has no such option.
    """
    settings = stage.optimizer
    given: dict[str, Any] = {"betas": settings.betas, "eps": settings.eps, **(settings.model_extra or {})}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        if settings.name == "adamw":
            return AdamW(weights, lr=stage.lr, weight_decay=settings.weight_decay, fused=True, **options)
        return _of_timm(settings.name, weights, stage.lr, settings.weight_decay, options)
    except (TypeError, ValueError, IndexError) as error:  # an option it has not, or a value it cannot use
        raise ExperimentError(f"optimizer {settings.name!r} cannot be made with {options}: {error}") from None


def _of_timm(
    name: str, weights: list[nn.Parameter], lr: float, weight_decay: float, options: dict[str, Any]
) -> Optimizer:
    from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers

    known = [str(known) for known in list_optimizers()]
    if name not in known:
        raise ExperimentError(f"optimizer: timm has no {name!r}; {suggestion(name, known)}")
    if get_optimizer_info(name).second_order:
        raise ExperimentError(f"optimizer: {name!r} needs second derivatives, which training does not compute")
    return create_optimizer_v2(weights, name, lr, weight_decay, **options)


def lay_out(restorer: Restorer, stage: Stage) -> torch.memory_format:
    """Put the weights into the stage's memory format, in place; images are to come in the same one."""
    memory_format = torch.channels_last if stage.memory_format == "channels_last" else torch.contiguous_format
    restorer.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]  # torch's stubs lack this overload
    return memory_format
