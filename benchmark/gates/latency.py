"""Latency of one image, the quick protocol: one process, a second or two; for tables and first looks.

Timed is the whole way (8-bit image on the host to 8-bit image on the host) and, apart, the network alone. The quick
protocol cannot pass a gate: a verdict that deserves the word needs fresh processes and interleaved rounds.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.model import Restorer, restore_image
from benchmark.model.images import to_tensor

_WARM_UP_SECONDS, _MEASURE_SECONDS = 0.1, 0.5
_LEAST_RUNS = 5
_BUFFERS = 4
"""Different images in turn, so that the same cache lines are not hit each time."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the way of one image: median, p90, p99, lower quartile; and the network's median alone."""

    median_ms: float
    p90_ms: float
    p99_ms: float
    lower_quartile_ms: float
    net_median_ms: float
    runs: int


def quick_latency(restorer: Restorer, image: tuple[int, int], device: torch.device) -> Latency:
    """Latency at batch 1 of an image (height, width). The network is left in the mode it was in."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*image, 3), np.uint8) for _ in range(_BUFFERS)]
    tensors = [to_tensor(array, device) for array in images]
    was_training = restorer.training
    restorer.eval()

    def whole(run: int) -> NDArray[np.uint8]:
        return restore_image(restorer, images[run % _BUFFERS], device)

    @torch.inference_mode()
    def net(run: int) -> None:
        restorer(tensors[run % _BUFFERS])
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    whole_ms, net_ms = _sample(whole), _sample(net)
    restorer.train(was_training)
    p90, p99, quartile = (float(np.percentile(whole_ms, share)) for share in (90, 99, 25))
    return Latency(statistics.median(whole_ms), p90, p99, quartile, statistics.median(net_ms), len(whole_ms))


def _sample(call: Callable[[int], object]) -> list[float]:
    """Milliseconds of single calls, after a warm-up."""
    _timed(call, _WARM_UP_SECONDS, least=2)
    return _timed(call, _MEASURE_SECONDS, least=_LEAST_RUNS)


def _timed(call: Callable[[int], object], seconds: float, least: int) -> list[float]:
    times_ms: list[float] = []
    begin = time.perf_counter()
    while len(times_ms) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call(len(times_ms))
        times_ms.append((time.perf_counter() - start) * 1000)
    return times_ms
