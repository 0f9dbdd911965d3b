"""Batches of training patches: stacked in the background, then moved to the device as float tensors."""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data import SPOT_THRESHOLD_LEVELS
from benchmark.data.sampling import Sampler
from benchmark.training.distributed import ALONE, Ranks
from losses import Batch

_PREFETCHED = 2
"""Batches made in advance: one is enough on average, the second evens out slow batches."""


@dataclass(frozen=True)
class HostBatch:
    """A batch, or a rank's share of it, in host memory: arrays `B H W 3`, and the names of the images behind them."""

    names: tuple[str, ...]
    degraded: NDArray[np.uint8]
    target: NDArray[np.uint8]
    gain: NDArray[np.float16] | None
    spots: NDArray[np.float16] | None


def batch_at(sampler: Sampler, step: int, size: int, ranks: Ranks = ALONE, parts: int = 1) -> HostBatch:
    """Return this rank's share of the batch of a step (from 1), of `size` patches in all; see `Ranks.positions`.

    A batch is the `size` patches from position `(step - 1) * size` of the stream, however many ranks share it.
    """
    pairs = [sampler.patch_at(position) for position in ranks.positions(step, size, parts)]
    return HostBatch(
        tuple(pair.name for pair in pairs),
        np.stack([pair.degraded for pair in pairs]),
        np.stack([pair.target for pair in pairs]),
        _stack_maps([pair.gain for pair in pairs]),
        _stack_maps([pair.spots for pair in pairs]),
    )


def host_batches(
    sampler: Sampler, steps: Iterable[int], size: int, ranks: Ranks = ALONE, parts: int = 1
) -> Generator[HostBatch, None, None]:
    """Yield `batch_at` of these steps; a background thread makes each while the ones before are used."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        pending: deque[Future[HostBatch]] = deque()
        try:
            for step in steps:
                pending.append(pool.submit(batch_at, sampler, step, size, ranks, parts))
                if len(pending) > _PREFETCHED:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def to_device(batch: HostBatch, device: torch.device, memory_format: torch.memory_format) -> Batch:
    """Return the batch as float32 tensors in [0, 1] on the device, with the damage mask; 8-bit images are copied."""
    images = (_copy(array, device).div_(255) for array in (batch.degraded, batch.target))
    degraded, target = (image.contiguous(memory_format=memory_format) for image in images)
    # Differences are whole 8-bit levels; half a level above the threshold, float rounding cannot matter.
    mask = ((target - degraded).abs().amax(1, keepdim=True) > (SPOT_THRESHOLD_LEVELS + 0.5) / 255).float()
    maps = (None if array is None else _copy(array, device).contiguous() for array in (batch.gain, batch.spots))
    return Batch(degraded, target, mask, *maps)


def _stack_maps(maps: Sequence[NDArray[np.float16] | None]) -> NDArray[np.float16] | None:
    """Return the maps of a batch; None unless every pair has one."""
    present = [values for values in maps if values is not None]
    return np.stack(present) if len(present) == len(maps) else None


def _copy(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return a new float32 tensor `B C H W` on the device, from 8-bit or half-precision values `B H W C`."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":  # the copy from page-locked memory overlaps with computation
        tensor = tensor.pin_memory().to(device, non_blocking=True)
    return tensor.permute(0, 3, 1, 2).float()
