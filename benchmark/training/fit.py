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
from benchmark.training.batches import HostBatch, host_batches, to_device
from benchmark.training.objective import Objective
from benchmark.training.schedule import lr_at
from benchmark.training.snapshot import put_back, take

REPORT_STEPS = 10
"""Steps between two reports. Losses are read from the device only then, so that the loop never waits for it."""

MOST_LEFT_OUT = 3
"""Steps of a stage that may be taken back because of a loss or gradient that is not finite; with the next, it fails."""


class DivergedError(RowError):
    """The loss or a gradient is no longer a finite number."""

    def __init__(self, message: str, stage: str, step: int) -> None:
        super().__init__(message)
        self.stage = stage
        self.step = step


@dataclass(frozen=True)
class Progress:
    """Where a stage stands after `step` steps; losses and norms are means over the steps since the report before."""

    stage: str
    step: int
    steps: int
    lr: float
    loss: float
    parts: dict[str, float]
    gradient_norm: float
    """Of all weights together, before clipping."""
    images_per_second: float
    left_out: tuple[int, ...]
    """The steps of the stage so far that were taken back because loss or gradient were not finite."""


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
    left_out: tuple[int, ...] = (),
) -> Iterator[Progress]:
    """Train `restorer` in place from step `done + 1` to `stage.steps`; yields a report every few steps.

    Between two reports the weights and the optimiser belong to exactly `Progress.step` steps, so whoever consumes this
    may store them. Every batch, augmentation and learning rate is a pure function of (seed, stage, step): going on from
    a stored state gives what an undisturbed run gives.

    A step whose loss or gradient is not finite is found at the next report: training goes back to the report before and
    does the steps since then again without that one. Raises DivergedError when the step after it is no better, for then
    the weights are bad and not the batch, and when it happens more often than `MOST_LEFT_OUT` in a stage. `left_out`:
    the steps up to `done` that were left out.
    """
    memory_format = lay_out(restorer.train(), stage)

    def train_step(step: int, host_batch: HostBatch) -> Tensor:
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
        return torch.stack([loss.detach(), norm, *parts.values()])

    good, interval, measured = take(restorer, optimizer), list[tuple[int, HostBatch]](), list[Tensor]()
    started = time.perf_counter()
    steps = range(done + 1, stage.steps + 1)
    for step, host_batch in zip(steps, host_batches(sampler, steps, stage.batch), strict=True):
        interval.append((step, host_batch))
        measured.append(train_step(step, host_batch))
        if step % REPORT_STEPS == 0 or step == stage.steps:
            while (bad := _first_bad(values := torch.stack(measured).cpu())) is not None:
                bad_step, bad_batch = interval[bad]
                if bad_step - 1 in left_out or len(left_out) == MOST_LEFT_OUT or len(interval) == 1:
                    raise _diverged(bad_step, bad_batch, values[bad], left_out, sampler.stage)
                put_back(good, restorer, optimizer)
                del interval[bad]
                left_out = (*left_out, bad_step)
                measured = [train_step(*again) for again in interval]
            seconds = time.perf_counter() - started
            mean = values.mean(0).tolist()
            yield Progress(
                stage=sampler.stage,
                step=step,
                steps=stage.steps,
                lr=lr_at(stage, step),
                loss=mean[0],
                parts=dict(zip(objective.names, mean[2:], strict=True)),
                gradient_norm=mean[1],
                images_per_second=len(interval) * stage.batch / seconds,
                left_out=left_out,
            )
            good, interval, measured = take(restorer, optimizer), [], []
            started = time.perf_counter()


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


def _first_bad(values: Tensor) -> int | None:
    """Index of the first step whose loss, gradient norm or loss part is not finite."""
    bad = (~values.isfinite()).any(1).nonzero()
    return int(bad[0, 0]) if len(bad) else None


def _diverged(step: int, batch: HostBatch, values: Tensor, left_out: tuple[int, ...], stage: str) -> DivergedError:
    what, value = ("gradient norm", values[1]) if values[0].isfinite() else ("loss", values[0])
    before = f"; left out before: step {', '.join(map(str, left_out))}" if left_out else ""
    names = ", ".join(batch.names)
    message = f"stage {stage!r}, step {step}: the {what} is {value.item()} (batch: {names}){before}"
    return DivergedError(f"{message}; lower lr or set clip_norm", stage, step)
