"""From patches to batches on the device, made while the step before is still computed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.sampling import Sampler
from losses import SPOT_THRESHOLD, Batch

_AHEAD = 2
"""Batches made in advance: one would do on average, the second hides the jitter of the first."""


@dataclass(frozen=True)
class HostBatch:
    """A batch in host memory: `B H W 3` arrays, and the names of the images its patches come from."""

    names: tuple[str, ...]
    degraded: NDArray[np.uint8]
    target: NDArray[np.uint8]
    gain: NDArray[np.float16] | None
    spots: NDArray[np.float16] | None


def batch_at(sampler: Sampler, step: int, size: int) -> HostBatch:
    """The batch of a step (from 1): positions `(step - 1) * size` and on of the stage's stream."""
    pairs = [sampler.patch_at(position) for position in range((step - 1) * size, step * size)]
    return HostBatch(
        tuple(pair.name for pair in pairs),
        np.stack([pair.degraded for pair in pairs]),
        np.stack([pair.target for pair in pairs]),
        _stack_maps([pair.gain for pair in pairs]),
        _stack_maps([pair.spots for pair in pairs]),
    )


def host_batches(sampler: Sampler, steps: Iterable[int], size: int) -> Iterator[HostBatch]:
    """The batches of these steps, each made in the background while the ones before are used."""
    return _ahead(lambda step: batch_at(sampler, step, size), steps)


def to_device(batch: HostBatch, device: torch.device, memory_format: torch.memory_format) -> Batch:
    """The batch as float32 tensors on the device; 8-bit images cross, not floats."""
    degraded, target = (_image(array, device, memory_format) for array in (batch.degraded, batch.target))
    # Differences are whole 8-bit levels: compared half a level above the threshold, float rounding cannot matter.
    mask = ((target - degraded).abs().amax(1, keepdim=True) > SPOT_THRESHOLD + 0.5 / 255).float()
    return Batch(degraded, target, mask, _map(batch.gain, device), _map(batch.spots, device))


def _stack_maps(maps: Sequence[NDArray[np.float16] | None]) -> NDArray[np.float16] | None:
    known = [values for values in maps if values is not None]
    return np.stack(known) if len(known) == len(maps) else None


def _image(array: NDArray[np.uint8], device: torch.device, memory_format: torch.memory_format) -> Tensor:
    return _on(array, device).permute(0, 3, 1, 2).float().div_(255).contiguous(memory_format=memory_format)


def _map(array: NDArray[np.float16] | None, device: torch.device) -> Tensor | None:
    return None if array is None else _on(array, device).permute(0, 3, 1, 2).float().contiguous()


def _on(array: NDArray[Any], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    if device.type == "cuda":  # page-locked memory lets the copy run beside the computation; the CPU has no use for it
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def _ahead(make: Callable[[int], HostBatch], steps: Iterable[int]) -> Iterator[HostBatch]:
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        waiting: list[Future[HostBatch]] = []
        try:
            for step in steps:
                waiting.append(pool.submit(make, step))
                if len(waiting) > _AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
