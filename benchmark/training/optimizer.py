"""The optimiser of a stage and its learning rate at every step."""

import math
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.stage import Schedule, Stage


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
        return _make_timm_optimizer(settings.name, weights, stage.lr, settings.weight_decay, options)
    except (TypeError, ValueError, IndexError) as error:  # an unknown option, or a value out of range
        raise ExperimentError(f"optimizer {settings.name!r} cannot be made with {options}: {error}") from None


def _make_timm_optimizer(
    name: str, weights: list[nn.Parameter], lr: float, weight_decay: float, options: dict[str, Any]
) -> Optimizer:
    from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers

    names = [str(name) for name in list_optimizers()]
    if name not in names:
        raise ExperimentError(f"optimizer: timm has no {name!r}; {suggestion(name, names)}")
    if get_optimizer_info(name).second_order:
        raise ExperimentError(f"optimizer: {name!r} needs second derivatives, which training does not compute")
    return create_optimizer_v2(weights, name, lr, weight_decay, **options)


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
