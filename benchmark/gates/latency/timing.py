"""Timing single images on their way through a runner."""

import gc
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.inference.runtimes import Runner
from benchmark.inference.tiles import restore_in_tiles

BUFFERS = 8
"""Different images in turn, so that the same cache lines are not hit each time."""
_ROLLING = 10
_SETTLED = 0.02
"""A warm-up is over when the median of the last ten calls is within this share of that of the ten before."""


@dataclass(frozen=True)
class Call:
    """Milliseconds of one image.

    `image_ms`: the whole way. `network_ms`: the network alone, on a GPU by its own clock. `launch_ms`: how long the
    host was busy giving the network's work to the device; on a CPU that is the network itself.
    """

    image_ms: float
    network_ms: float
    launch_ms: float


@dataclass(frozen=True)
class Tiling:
    """Side of the square tiles an image is restored in, and by how much they overlap, in pixels."""

    tile: int
    overlap: int


@dataclass(frozen=True)
class WarmUp:
    runs: int
    seconds: float
    has_settled: bool


def make_images(size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Random 8-bit images of a size (height, width)."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(BUFFERS)]


def timed(
    runner: Runner, images: Sequence[NDArray[np.uint8]], device: torch.device, tiling: Tiling | None
) -> Callable[[], Call]:
    """A function that sends the next image through the runner and says how long that took.

    `runner` was prepared for the size of the images, or of the tiles.
    """
    turn = cycle(images)
    stopwatch = _on_gpu if device.type == "cuda" else _on_cpu

    def call() -> Call:
        image, parts = next(turn), list[tuple[float, float]]()

        def restore(piece: NDArray[np.uint8]) -> NDArray[np.uint8]:
            restored, times = stopwatch(runner, piece)
            parts.append(times)
            return restored

        start = time.perf_counter()
        if tiling:
            restore_in_tiles(restore, image, tiling.tile, tiling.overlap)
        else:
            restore(image)
        image_ms = _since(start)
        return Call(image_ms, sum(network for network, _ in parts), sum(launch for _, launch in parts))

    return call


def _on_cpu(runner: Runner, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    given = runner.to_input(image)
    start = time.perf_counter()
    answer = runner.network(given)
    network_ms = _since(start)
    return runner.to_image(answer), (network_ms, network_ms)


def _on_gpu(runner: Runner, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """By events on the stream: waiting between the steps would slow down the way that is measured."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    given = runner.to_input(image)
    begin.record()
    start = time.perf_counter()
    answer = runner.network(given)
    launch_ms = _since(start)
    end.record()
    restored = runner.to_image(answer)
    end.synchronize()
    return restored, (begin.elapsed_time(end), launch_ms)


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def warm_up(call: Callable[[], Call], least_runs: int, least_seconds: float, most_seconds: float) -> WarmUp:
    """Call until the times have settled, at least so often and so long, and not beyond `most_seconds` for long."""
    begin, times = time.perf_counter(), list[float]()
    while True:
        times.append(call().image_ms)
        seconds, settled = time.perf_counter() - begin, _has_settled(times)
        if len(times) >= least_runs and ((settled and seconds >= least_seconds) or seconds >= most_seconds):
            return WarmUp(len(times), seconds, settled)


def _has_settled(times: Sequence[float]) -> bool:
    if len(times) < 2 * _ROLLING:
        return False
    last, before = times[-_ROLLING:], times[-2 * _ROLLING : -_ROLLING]
    return abs(statistics.median(last) / statistics.median(before) - 1) < _SETTLED


def repeat(call: Callable[[], Call], runs: int, seconds: float) -> list[Call]:
    """At least so many calls, for at least so long."""
    begin, calls = time.perf_counter(), list[Call]()
    while len(calls) < runs or time.perf_counter() - begin < seconds:
        calls.append(call())
    return calls


@contextmanager
def no_collection() -> Generator[None]:
    """Python's garbage collector must not choose a moment in the middle of a call."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
