"""The quick protocol: one process, a second or two; for tables, searches and first looks. It never passes a gate."""

import torch

from benchmark.errors import BenchmarkError
from benchmark.gates.latency import Conditions, Latency, ModelSamples, summarise
from benchmark.gates.latency_stability import load_doubts, load_since, read_counters
from benchmark.gates.latency_timing import no_garbage_collection, prepare_timer, repeat, warm_up
from benchmark.inference.device_setup import torch_threads
from benchmark.model import Restorer

_LEAST_RUNS = 5
_WARM_UP_RUNS = 2
_WARM_UP_SHARE = 0.2
"""Share of the seconds that is spent on the warm-up."""


class TooSlowError(BenchmarkError):
    """One image takes longer than the caller accepts."""


def quick_latency(
    restorer: Restorer,
    conditions: Conditions,
    device: torch.device,
    seconds: float = 0.6,
    most_ms: float | None = None,
) -> Latency:
    """Measure a latency at batch 1. The network stays as it is.

    Args:
        restorer: A network on `device`.
        conditions: Runtime, image size and so on.
        device: The device of the restorer.
        seconds: How long to measure, once the runtime has prepared the network.
        most_ms: Longest accepted time for one image.

    Raises:
        RuntimeUnavailable: The runtime is missing or cannot run this network.
        TooSlowError: An image takes more than `most_ms`.
    """
    with torch_threads(conditions.threads):
        timer = prepare_timer(restorer, conditions, device)
        if most_ms is not None and timer.cold_start_ms > most_ms and (second_ms := timer.call().image_ms) > most_ms:
            raise TooSlowError(f"one image takes {second_ms / 1000:.1f} s")
        warmed_up = warm_up(timer.call, _WARM_UP_RUNS, 0.0, seconds * _WARM_UP_SHARE)
        with no_garbage_collection():
            before = read_counters()
            calls = repeat(timer.call, _LEAST_RUNS, seconds * (1 - _WARM_UP_SHARE))
            load = load_since(before, device)
    samples = ModelSamples(timer.cold_start_ms, timer.preparation_seconds, warmed_up, tuple(calls))
    return summarise("quick", conditions, [samples], list(load_doubts([load])), load.waited_share)
