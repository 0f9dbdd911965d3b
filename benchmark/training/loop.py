"""The training loop: one stage, step by step."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from benchmark.data.random_streams import generator
from benchmark.data.sampling import Sampler
from benchmark.errors import RowError
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer
from benchmark.training.batches import HostBatch, host_batches, to_device
from benchmark.training.objective import Objective
from benchmark.training.schedule import lr_at
from benchmark.training.snapshot import put_back, take
from benchmark.training.train_state import Learner, lay_out
from benchmark.training.validation_steps import look_steps
from losses import Batch

REPORT_STEPS = 10
"""Steps between two reports. Losses are read from the device only then, so that the loop never waits for it."""

MOST_LEFT_OUT = 3
"""Steps of a stage that may be taken back because of a loss or gradient that is not finite; with the next, it fails."""

_LEAST_SCALE = 2.0**-10
"""Of the loss in float16; it begins at 2^16 and is halved by each step that overflows."""

_HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class DivergedError(RowError):
    """The loss or a gradient is no longer a finite number."""

    def __init__(self, message: str, stage: str, step: int) -> None:
        super().__init__(message)
        self.stage = stage
        self.step = step


@dataclass(frozen=True)
class Progress:
    """Where a stage stands after `step` steps; losses and norms are means over the steps since the report before.

    They are NaN where all of these steps were left out.
    """

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


def fit(
    learner: Learner,
    objective: Objective,
    sampler: Sampler,
    stage: Stage,
    device: torch.device,
    done: int = 0,
    left_out: tuple[int, ...] = (),
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train in place from step `done + 1` to `stage.steps`; yields a report every few steps, and before looks at val.

    Between two reports the learner is that of exactly `Progress.step` steps, so whoever consumes this may store it.
    Every batch, augmentation and learning rate is a pure function of (seed, stage, step): going on from a stored state
    gives what an undisturbed run gives. When `is_stopping()`, a report comes after the step that is computed.

    A step whose loss or gradient is not finite is found at the next report: training goes back to the report before and
    does the steps since then again without that one. Raises DivergedError when the step after it is no better, for then
    the weights are bad and not the batch, and when it happens more often than `MOST_LEFT_OUT` in a stage. `left_out`:
    the steps up to `done` that were left out.
    """
    memory_format = lay_out(learner.restorer, stage)
    network: Callable[[Tensor], Any] = torch.compile(learner.restorer) if stage.compile is True else learner.restorer
    looks = look_steps(stage)

    def train_step(step: int, host_batch: HostBatch) -> Tensor:
        batch = to_device(host_batch, device, memory_format)
        _set_lr(learner, lr_at(stage, step))
        _set_modes(learner.restorer, is_norm_frozen=step > stage.steps * (1 - stage.freeze_bn_fraction))
        torch.manual_seed(int(generator(sampler.seed, sampler.stage, "model", step).integers(2**63)))
        learner.optimizer.zero_grad(set_to_none=True)
        measured = sum(
            (_backward(network, objective, part, stage, learner) for part in _parts(batch, stage.accumulate)),
            start=torch.zeros((), device=device),
        )
        norm = _update(learner, stage, step)
        return torch.cat([measured[:1], norm[None], measured[1:]])

    good, interval, measured = take(learner), list[tuple[int, HostBatch]](), list[Tensor]()
    started = time.perf_counter()
    steps = range(done + 1, stage.steps + 1)
    for step, host_batch in zip(steps, host_batches(sampler, steps, stage.batch), strict=True):
        interval.append((step, host_batch))
        measured.append(train_step(step, host_batch))
        if step % REPORT_STEPS == 0 or step == stage.steps or step in looks or is_stopping():
            done_steps, values = len(interval), torch.stack(measured).cpu()
            while (bad := _first_bad(values)) is not None:
                bad_step, bad_batch = interval[bad]
                if bad_step - 1 in left_out or len(left_out) == MOST_LEFT_OUT:
                    raise _diverged(bad_step, bad_batch, values[bad], left_out, sampler.stage)
                put_back(good, learner)
                del interval[bad]
                left_out = (*left_out, bad_step)
                measured = [train_step(*again) for again in interval]
                values = torch.stack(measured).cpu() if measured else values[:0]
            _check_scale(learner, sampler.stage, step)
            seconds = time.perf_counter() - started
            mean = values.mean(0).tolist()  # NaN where nothing is left
            yield Progress(
                stage=sampler.stage,
                step=step,
                steps=stage.steps,
                lr=lr_at(stage, step),
                loss=mean[0],
                parts=dict(zip(objective.names, mean[2:], strict=True)),
                gradient_norm=mean[1],
                images_per_second=done_steps * stage.batch / seconds,
                left_out=left_out,
            )
            good, interval, measured = take(learner), [], []
            started = time.perf_counter()


def _parts(batch: Batch, count: int) -> list[Batch]:
    """The batch cut into equal parts of whole images."""
    if count == 1:
        return [batch]
    size = len(batch.degraded) // count
    cuts = [slice(at * size, (at + 1) * size) for at in range(count)]
    return [Batch._make(None if values is None else values[cut] for values in batch) for cut in cuts]


def _backward(
    network: Callable[[Tensor], Any], objective: Objective, part: Batch, stage: Stage, learner: Learner
) -> Tensor:
    """Add a part's share of the gradients; the same share of loss and loss parts, on the device."""
    half = _HALVES.get(stage.precision)
    with torch.autocast(part.degraded.device.type, half, enabled=half is not None):
        restoration = network(part.degraded)
    loss, parts = objective(restoration, part)
    loss = loss / stage.accumulate
    learner.scaler.scale(loss).backward()
    return torch.stack([loss.detach(), *(value / stage.accumulate for value in parts.values())])


def _update(learner: Learner, stage: Stage, step: int) -> Tensor:
    """Clip, step, average. The norm of all gradients before clipping.

    Gradients that overflow float16 are no fault of the batch: the scaler leaves such a step out and lowers its scale.
    """
    learner.scaler.unscale_(learner.optimizer)
    norm = _clip_gradients(learner.restorer, stage.clip_norm)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.average:
        learner.average.update(learner.restorer, step)
    return norm.nan_to_num(0.0, 0.0) if learner.scaler.is_enabled() else norm


def _clip_gradients(restorer: Restorer, clip_norm: float | None) -> Tensor:
    """The norm of all gradients, before they are scaled down to `clip_norm`."""
    parameters = [parameter for parameter in restorer.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if clip_norm is not None:
        clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm


def _set_lr(learner: Learner, lr: float) -> None:
    for group in learner.optimizer.param_groups:
        group["lr"] = lr


def _set_modes(restorer: Restorer, *, is_norm_frozen: bool) -> None:
    """Training mode, but for BatchNorm where its statistics are frozen (the published recipe of gUNet)."""
    if not restorer.training:
        restorer.train()
    for module in restorer.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training == is_norm_frozen:  # pyright: ignore[reportPrivateUsage]  # the base of all of them has no public name
            module.train(not is_norm_frozen)


def _check_scale(learner: Learner, stage: str, step: int) -> None:
    """Raises DivergedError when gradients overflow float16 however small the loss is scaled."""
    if learner.scaler.is_enabled() and learner.scaler.get_scale() < _LEAST_SCALE:
        message = f"stage {stage!r}, step {step}: gradients overflow float16 at any scale; use precision bfloat16"
        raise DivergedError(message, stage, step)


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
