"""The quick protocol: one process, a second or two; and the timing of single calls, which both protocols share.

The quick protocol is for tables, searches and first looks. It passes a gate only below half the limit.
"""

import gc
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.gates.latency import Call, Conditions, Latency, ModelSamples, WarmUp, scaled_calls, summarise
from benchmark.gates.latency_reference import REFERENCE_SIZE, make_reference
from benchmark.gates.latency_stability import load_doubts, load_since, read_counters
from benchmark.inference.device_setup import torch_threads
from benchmark.inference.onnx_runtimes import prepare_file
from benchmark.inference.prepared_network import PreparedNetwork
from benchmark.inference.runtimes import prepare
from benchmark.inference.tiles import Tiling, restore_in_tiles
from benchmark.model import Restorer
from benchmark.model.restorer import fold

_LEAST_RUNS = 5
_WARM_UP_RUNS = 2
_WARM_UP_SHARE = 0.2
"""Share of the seconds that is spent on the warm-up."""
_QUIET_PERCENT = 10
_IMAGES = 8
"""Different images in turn, so that calls do not always read the same cache lines."""
_ROLLING = 10
_SETTLED = 0.02
"""A warm-up is over when the median of the last ten calls is within this share of that of the ten before."""


def quick_latency(
    network: Restorer | bytes,
    conditions: Conditions,
    device: torch.device,
    seconds: float = 0.6,
    most_ms: float | None = None,
    quiet_ms: float | None = None,
) -> Latency:
    """Measure a latency at batch 1. The network stays as it is.

    With `quiet_ms`, calls of the reference network stand between those of the network, and each call is scaled by what
    these take: other programs slow both down.

    Args:
        network: A network on `device`, or the content of an ONNX file.
        conditions: Runtime, image size and so on.
        device: The device of the restorer.
        seconds: How long to measure, once the runtime has prepared the network.
        most_ms: Longest accepted time for one image.
        quiet_ms: What the reference network takes while nothing else runs; see `quiet_reference_ms`.

    Raises:
        RuntimeUnavailable: The runtime is missing or cannot run this network.
        BenchmarkError: An image takes more than `most_ms`.
    """
    process_threads = torch.get_num_threads()
    with torch_threads(conditions.threads):
        timer = prepare_timer(network, conditions, device)
        if most_ms is not None and timer.cold_start_ms > most_ms and (second_ms := timer.call().image_ms) > most_ms:
            raise BenchmarkError(f"one image takes {second_ms / 1000:.1f} s; over {most_ms / 1000:g} s")
        warmed_up = warm_up(timer.call, _WARM_UP_RUNS, 0.0, seconds * _WARM_UP_SHARE)
        reference = None if quiet_ms is None else _reference_timer(device)
        with no_garbage_collection():
            before, begin = read_counters(), time.perf_counter()
            while len(timer.calls) < _LEAST_RUNS or time.perf_counter() - begin < seconds * (1 - _WARM_UP_SHARE):
                if reference:
                    _call_with(process_threads, reference)
                timer.calls.append(timer.call())
            if reference:
                _call_with(process_threads, reference)
            load = load_since(before, device)
    calls, doubts, reference_ms = tuple(timer.calls), list(load_doubts([load])), None
    if reference and quiet_ms is not None:
        times = [call.image_ms for call in reference.calls]
        calls, doubts, reference_ms = scaled_calls(calls, times, quiet_ms), [], statistics.median(times)
    samples = ModelSamples(timer.cold_start_ms, timer.preparation_seconds, warmed_up, calls)
    return summarise("quick", conditions, [samples], doubts, load.waited_share, reference_ms)


def quiet_reference_ms(device: torch.device, seconds: float = 1.0) -> float:
    """Return what the reference network takes while nothing else runs: its fastest tenth, should another program run.

    Args:
        device: Where it runs.
        seconds: How long it is called.
    """
    reference, begin = _reference_timer(device), time.perf_counter()
    while len(reference.calls) < _LEAST_RUNS or time.perf_counter() - begin < seconds:
        reference.calls.append(reference.call())
    return float(np.percentile([call.image_ms for call in reference.calls], _QUIET_PERCENT))


def _call_with(threads: int, timer: "ModelTimer") -> None:
    """Call a network with this number of threads, and keep the time."""
    with torch_threads(threads):
        timer.calls.append(timer.call())


def _reference_timer(device: torch.device) -> "ModelTimer":
    timer = prepare_timer(make_reference().to(device), Conditions(REFERENCE_SIZE, folded=False), device)
    warm_up(timer.call, _WARM_UP_RUNS, 0.0, 0.0)
    return timer


@dataclass
class ModelTimer:
    """A network that is ready to be timed, and its calls so far."""

    call: Callable[[], Call]
    """Restores the next image and returns how long it took."""
    cold_start_ms: float
    preparation_seconds: float
    calls: list[Call] = field(default_factory=list[Call])


def prepare_timer(network: Restorer | bytes, conditions: Conditions, device: torch.device) -> ModelTimer:
    """Prepare a network, or an ONNX file, for its runtime and call it once, cold. The network stays as it is.

    Raises:
        RuntimeUnavailable: The runtime is missing or cannot run this network.
    """
    if isinstance(network, Restorer) and conditions.folded:
        network = fold(network)
    height, width = conditions.image
    size = (min(conditions.tile or height, height), min(conditions.tile or width, width))
    start = time.perf_counter()
    if isinstance(network, bytes):
        prepared = prepare_file(conditions.runtime, network, size)
    else:
        prepared = prepare(conditions.runtime, network, size, device, conditions.dtype)
    preparation_seconds = time.perf_counter() - start
    call = _timed(prepared, conditions, device)
    return ModelTimer(call, call().image_ms, preparation_seconds)


def _timed(prepared: PreparedNetwork, conditions: Conditions, device: torch.device) -> Callable[[], Call]:
    rng = np.random.default_rng(0)
    next_image = cycle([rng.integers(0, 256, (*conditions.image, 3), np.uint8) for _ in range(_IMAGES)])
    stopwatch = _restore_on_gpu if device.type == "cuda" else _restore_on_cpu

    def call() -> Call:
        image, times = next(next_image), list[tuple[float, float]]()

        def restore(piece: NDArray[np.uint8]) -> NDArray[np.uint8]:
            restored, network_and_launch_ms = stopwatch(prepared, piece)
            times.append(network_and_launch_ms)
            return restored

        start = time.perf_counter()
        if conditions.tile:
            restore_in_tiles(restore, image, Tiling(conditions.tile, conditions.overlap))
        else:
            restore(image)
        image_ms = _ms_since(start)
        return Call(image_ms, sum(network for network, _ in times), sum(launch for _, launch in times))

    return call


def _restore_on_cpu(
    prepared: PreparedNetwork, image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    network_input = prepared.to_input(image)
    start = time.perf_counter()
    output = prepared.network(network_input)
    network_ms = _ms_since(start)
    return prepared.to_image(output), (network_ms, network_ms)


def _restore_on_gpu(
    prepared: PreparedNetwork, image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Time the network with events on the stream: waiting between the steps would slow down what is measured."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    network_input = prepared.to_input(image)
    begin.record()
    start = time.perf_counter()
    output = prepared.network(network_input)
    launch_ms = _ms_since(start)
    end.record()
    restored = prepared.to_image(output)
    end.synchronize()
    return restored, (begin.elapsed_time(end), launch_ms)


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def warm_up(call: Callable[[], Call], least_runs: int, least_seconds: float, most_seconds: float) -> WarmUp:
    """Call until the times have settled, or `most_seconds` are over.

    At least `least_runs` times, and before settling counts, `least_seconds` long.
    """
    begin, times = time.perf_counter(), list[float]()
    while True:
        times.append(call().image_ms)
        seconds, settled = time.perf_counter() - begin, _has_settled(times)
        if len(times) >= least_runs and ((settled and seconds >= least_seconds) or seconds >= most_seconds):
            return WarmUp(seconds, settled)


def _has_settled(times: Sequence[float]) -> bool:
    last, before = times[-_ROLLING:], times[-2 * _ROLLING : -_ROLLING]
    return len(before) == _ROLLING and abs(statistics.median(last) / statistics.median(before) - 1) < _SETTLED


@contextmanager
def no_garbage_collection() -> Generator[None]:
    """Keep Python's garbage collector from running in the middle of a call."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
