"""The training loop: one stage, step by step."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import AdamW

from benchmark.data.sampling import Sampler
from benchmark.data.streams import generator
from benchmark.errors import RowError
from benchmark.experiment.schema import Stage
from benchmark.model import Restorer
from benchmark.training.batches import batch_at, host_batches, to_device
from benchmark.training.objective import Objective
from benchmark.training.schedule import lr_at

REPORT_STEPS = 10
"""Steps between two reports. Losses are read from the device only then, so that the loop never waits for it."""


class DivergedError(RowError):
    """The loss or a gradient is no longer a finite number."""

    def __init__(self, message: str, stage: str, step: int) -> None:
        super().__init__(message)
        self.stage = stage
        self.step = step


@dataclass(frozen=True)
class Progress:
    """Where a stage stands after `step` steps; losses are means over the steps since the report before."""

    stage: str
    step: int
    steps: int
    lr: float
    loss: float
    parts: dict[str, float]
    images_per_second: float


def make_optimizer(restorer: Restorer, stage: Stage) -> AdamW:
    settings = stage.optimizer
    return AdamW(
        restorer.parameters(),
        lr=stage.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,  # one pass over the weights; the same formula
    )


def lay_out(restorer: Restorer, stage: Stage) -> torch.memory_format:
    """Put the weights into the stage's memory format, in place; images are to come in the same one."""
    memory_format = torch.channels_last if stage.memory_format == "channels_last" else torch.contiguous_format
    restorer.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]  # torch's stubs lack this overload
    return memory_format


def fit(
    restorer: Restorer,
    optimizer: AdamW,
    objective: Objective,
    sampler: Sampler,
    stage: Stage,
    device: torch.device,
    done: int = 0,
) -> Iterator[Progress]:
    """Train `restorer` in place from step `done + 1` to `stage.steps`; yields a report every few steps.

    Between two reports the weights and the optimiser belong to exactly `Progress.step` steps, so whoever consumes this
    may store them. Every batch, augmentation and learning rate is a pure function of (seed, stage, step): going on from
    a stored state gives what an undisturbed run gives. Raises DivergedError.
    """
    memory_format = lay_out(restorer.train(), stage)
    losses: list[Tensor] = []
    started = time.perf_counter()
    steps = range(done + 1, stage.steps + 1)
    for step, host_batch in zip(steps, host_batches(sampler, steps, stage.batch), strict=True):
        batch = to_device(host_batch, device, memory_format)
        _set_lr(optimizer, lr_at(stage, step))
        torch.manual_seed(int(generator(sampler.seed, sampler.stage, "model", step).integers(2**63)))

        with torch.autocast(device.type, torch.bfloat16, enabled=stage.precision == "bfloat16"):
            restoration = restorer(batch.degraded)
        loss, parts = objective(restoration, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = _clip_gradients(restorer, stage.clip_norm)
        optimizer.step()

        losses.append(torch.stack([loss.detach(), norm, *parts.values()]))
        if step % REPORT_STEPS == 0 or step == stage.steps:
            values = torch.stack(losses).cpu()
            _check_finite(values, step, sampler, stage)
            mean = values.mean(0).tolist()
            seconds = time.perf_counter() - started
            yield Progress(
                stage=sampler.stage,
                step=step,
                steps=stage.steps,
                lr=lr_at(stage, step),
                loss=mean[0],
                parts=dict(zip(parts, mean[2:], strict=True)),
                images_per_second=len(losses) * stage.batch / seconds,
            )
            losses, started = [], time.perf_counter()


def _clip_gradients(restorer: Restorer, clip_norm: float | None) -> Tensor:
    """The norm of all gradients, before they are scaled down to `clip_norm`."""
    parameters = [parameter for parameter in restorer.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if clip_norm is not None:
        clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm


def _set_lr(optimizer: AdamW, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _check_finite(values: Tensor, step: int, sampler: Sampler, stage: Stage) -> None:
    bad = (~values.isfinite()).any(1).nonzero()
    if len(bad):
        row = int(bad[0, 0])
        first = step - len(values) + 1 + row
        what = "gradient norm" if values[row, 0].isfinite() else "loss"
        value = values[row, 1 if what == "gradient norm" else 0].item()
        names = ", ".join(batch_at(sampler, first, stage.batch).names)
        raise DivergedError(
            f"stage {sampler.stage!r}, step {first}: the {what} is {value} (batch: {names}); lower lr or set clip_norm",
            sampler.stage,
            first,
        )
