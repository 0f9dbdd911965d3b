"""One training step: forward and backward over the microbatches, clipping, the optimiser's update, the average."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from benchmark.data.sampling import Sampler, generator
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer
from benchmark.training.batches import HostBatch, to_device
from benchmark.training.distributed import Ranks
from benchmark.training.objective import Objective
from benchmark.training.train_state import TrainState, lr_at
from losses import Batch

_AUTOCAST_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def train_step(
    state: TrainState,
    network: Callable[[Tensor], Any],
    objective: Objective,
    sampler: Sampler,
    stage: Stage,
    memory_format: torch.memory_format,
    ranks: Ranks,
    step: int,
    host_batch: HostBatch,
) -> Tensor:
    """Change the train state, in place, by one optimiser step.

    Args:
        state: What the step changes.
        network: `state.restorer`, or the same compiled or over several ranks.
        objective: The weighted losses.
        sampler: The stream that the batch comes from; its seed and stage seed the layers that draw numbers.
        stage: Settings of the stage.
        memory_format: Of the images, that of the weights.
        ranks: The processes that share the batch.
        step: Number of the step, from 1.
        host_batch: The batch of the step, or this rank's share.

    Returns:
        Loss, gradient norm before clipping and the losses by themselves: `2 + len(objective.names)` values on the
        device, so that the caller decides when to wait for them. Losses are those of the rank's own images.
    """
    batch = to_device(host_batch, next(state.restorer.parameters()).device, memory_format)
    # Layers that draw numbers must not draw the same ones for the images of every rank.
    own = () if ranks.is_alone else (ranks.rank,)
    torch.manual_seed(int(generator(sampler.seed, sampler.stage, "model", step, *own).integers(2**63)))
    for group in state.optimizer.param_groups:
        group["lr"] = lr_at(stage, step)
    _set_modes(state.restorer, is_bn_frozen=step > stage.steps * (1 - stage.freeze_bn_fraction))
    state.optimizer.zero_grad(set_to_none=True)
    losses = sum(
        (_backward(state, network, objective, part, stage) for part in microbatches(batch, stage.accumulate)),
        start=batch.degraded.new_zeros(()),
    )
    ranks.average_gradients(state.restorer.parameters())
    norm = _update(state, stage, step)
    return torch.cat([losses[:1], norm[None], losses[1:]])


def microbatches(batch: Batch, count: int) -> list[Batch]:
    """Return the batch split into `count` equal parts of whole images."""
    parts = ([None] * count if values is None else values.chunk(count) for values in batch)
    return [Batch._make(part) for part in zip(*parts, strict=True)]


def _set_modes(restorer: Restorer, *, is_bn_frozen: bool) -> None:
    """Set training mode; BatchNorm in eval mode where its statistics are frozen (the published recipe of gUNet)."""
    if not restorer.training:
        restorer.train()
    for module in restorer.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training == is_bn_frozen:  # pyright: ignore[reportPrivateUsage]  # the base of all of them has no public name
            module.train(not is_bn_frozen)


def _backward(
    state: TrainState, network: Callable[[Tensor], Any], objective: Objective, microbatch: Batch, stage: Stage
) -> Tensor:
    """Add a microbatch's share of the gradients; return the same share of the loss and of each loss by itself."""
    dtype = _AUTOCAST_TYPES.get(stage.precision)
    with torch.autocast(microbatch.degraded.device.type, dtype, enabled=dtype is not None):
        restoration = network(microbatch.degraded)
    loss, parts = objective(restoration, microbatch)
    loss = loss / stage.accumulate
    state.scaler.scale(loss).backward()
    return torch.stack([loss.detach(), *(value / stage.accumulate for value in parts.values())])


def _update(state: TrainState, stage: Stage, step: int) -> Tensor:
    """Clip the gradients, step the optimiser, update the average; return the norm of all gradients before clipping.

    Gradients that overflow float16 are not an error of the batch: the scaler skips such a step and lowers its scale.
    """
    state.scaler.unscale_(state.optimizer)
    parameters = [parameter for parameter in state.restorer.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if stage.clip_norm is not None:
        clip_grads_with_norm_(parameters, stage.clip_norm, norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if state.average:
        state.average.update(state.restorer, step)
    return norm.nan_to_num(0.0, 0.0) if state.scaler.is_enabled() else norm
