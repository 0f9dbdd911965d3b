"""Batches of training patches: made by background threads, then moved to the device as float tensors."""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data import SPOT_THRESHOLD_LEVELS
from benchmark.data.sampling import Sampler
from benchmark.processes import usable_cores
from benchmark.training.distributed import ALONE, Ranks
from losses import Batch

_GPU_THREADS = 4
"""Threads that make batches for a GPU, where the machine has the cores. numpy copies pixels without Python's lock."""


@dataclass(frozen=True)
class HostBatch:
    """A batch, or a rank's share of it, in host memory: arrays `B H W 3`, and the names of the images behind them."""

    names: tuple[str, ...]
    degraded: NDArray[np.uint8]
    target: NDArray[np.uint8]
    gain: NDArray[np.float16] | None
    spots: NDArray[np.float16] | None


@dataclass(frozen=True)
class BatchMaker:
    """How batches are made in the background; the batches are the same in any way."""

    threads: int = 1
    page_locked: bool = False
    """Whether the batches lie in memory that a GPU reads while the CPU goes on."""


def batch_maker(device: torch.device) -> BatchMaker:
    """Return how batches for a device are made. A CPU that trains has no core to spare for a second thread."""
    if device.type != "cuda":
        return BatchMaker()
    cores_per_gpu = usable_cores() // max(1, torch.cuda.device_count())
    return BatchMaker(threads=min(_GPU_THREADS, max(1, cores_per_gpu)), page_locked=True)


def batch_at(
    sampler: Sampler, step: int, size: int, ranks: Ranks = ALONE, parts: int = 1, *, page_locked: bool = False
) -> HostBatch:
    """Return this rank's share of the batch of a step (from 1), of `size` patches in all; see `Ranks.positions`.

    A batch is the `size` patches from position `(step - 1) * size` of the stream, however many ranks share it.
    """
    pairs = [sampler.patch_at(position) for position in ranks.positions(step, size, parts)]
    return HostBatch(
        tuple(pair.name for pair in pairs),
        _stack([pair.degraded for pair in pairs], page_locked),
        _stack([pair.target for pair in pairs], page_locked),
        _stack_maps([pair.gain for pair in pairs], page_locked),
        _stack_maps([pair.spots for pair in pairs], page_locked),
    )


def host_batches(
    sampler: Sampler,
    steps: Iterable[int],
    size: int,
    ranks: Ranks = ALONE,
    parts: int = 1,
    maker: BatchMaker = BatchMaker(),
) -> Generator[HostBatch, None, None]:
    """Yield `batch_at` of these steps, in order; background threads make each while the ones before are used.

    Each thread makes a batch of its own. One more than there are threads is ready in advance: it evens out slow ones.
    """
    make = partial(batch_at, sampler, size=size, ranks=ranks, parts=parts, page_locked=maker.page_locked)
    with ThreadPoolExecutor(maker.threads, thread_name_prefix="batches") as pool:
        pending: deque[Future[HostBatch]] = deque()
        try:
            for step in steps:
                pending.append(pool.submit(make, step))
                if len(pending) > maker.threads + 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def to_device(batch: HostBatch, device: torch.device, memory_format: torch.memory_format) -> Batch:
    """Return the batch as float32 tensors in [0, 1] on the device, with the damage mask. Arrays stay as they are."""
    images = (_copy(array, device).div_(255) for array in (batch.degraded, batch.target))
    degraded, target = (image.contiguous(memory_format=memory_format) for image in images)
    # Differences are whole 8-bit levels; half a level above the threshold, float rounding cannot matter.
    mask = ((target - degraded).abs().amax(1, keepdim=True) > (SPOT_THRESHOLD_LEVELS + 0.5) / 255).float()
    maps = (None if array is None else _copy(array, device).contiguous() for array in (batch.gain, batch.spots))
    return Batch(degraded, target, mask, *maps)


def _stack_maps(maps: Sequence[NDArray[np.float16] | None], page_locked: bool) -> NDArray[np.float16] | None:
    """Return the maps of a batch; None unless every pair has one."""
    present = [values for values in maps if values is not None]
    return _stack(present, page_locked) if len(present) == len(maps) else None


def _stack(arrays: Sequence[NDArray[Any]], page_locked: bool) -> NDArray[Any]:
    """Return arrays of one shape as one array `B H W C`."""
    if not page_locked:
        return np.stack(arrays)
    dtype = torch.from_numpy(np.empty(0, arrays[0].dtype)).dtype
    memory = torch.empty((len(arrays), *arrays[0].shape), dtype=dtype, pin_memory=True)
    return np.stack(arrays, out=memory.numpy())


def _copy(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return a new float32 tensor `B C H W` on the device, from 8-bit, half-precision or float32 values `B H W C`."""
    tensor = torch.from_numpy(array)
    tensor = tensor.to(device, non_blocking=True)  # the copy from page-locked memory overlaps with computation
    return tensor.permute(0, 3, 1, 2).to(torch.float32, copy=True)  # what is replayed must stay as it is
