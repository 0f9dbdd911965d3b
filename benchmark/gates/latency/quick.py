"""The quick protocol: this process, a second or two; for tables, searches and first looks. It can never pass a gate."""

import torch

from benchmark.errors import BenchmarkError
from benchmark.gates.latency import stability
from benchmark.gates.latency.machine_load import load_since, read_counters
from benchmark.gates.latency.prepare import prepare
from benchmark.gates.latency.result import Conditions, Latency, launch_share, quantiles, spread
from benchmark.gates.latency.timing import make_images, no_collection, repeat, timed, warm_up
from benchmark.inference.process_setup import threads_set
from benchmark.model import Restorer

_LEAST_RUNS = 5
_WARM_UP_RUNS = 2
_WARM_UP_SHARE = 0.2
"""Of the seconds, what goes into the warm-up."""


class TooSlowError(BenchmarkError):
    """One image takes longer than the caller is ready to wait for several of."""


def quick_latency(
    restorer: Restorer,
    conditions: Conditions,
    device: torch.device,
    seconds: float = 0.6,
    most_ms: float | None = None,
) -> Latency:
    """Latency at batch 1 in about so many seconds, once the runtime has made the network ready.

    The network is left as it was. Raises RuntimeUnavailable, and TooSlowError if an image takes more than `most_ms`.
    """
    with threads_set(conditions.threads):
        runner, preparation_seconds = prepare(restorer, conditions, device)
        call = timed(runner, make_images(conditions.image), device, conditions.tiling)
        cold_start_ms = call().image_ms
        if most_ms is not None and cold_start_ms > most_ms and (again_ms := call().image_ms) > most_ms:
            raise TooSlowError(f"one image takes {again_ms / 1000:.1f} s")
        warm_up(call, _WARM_UP_RUNS, 0.0, seconds * _WARM_UP_SHARE)
        with no_collection():
            before = read_counters()
            calls = repeat(call, _LEAST_RUNS, seconds * (1 - _WARM_UP_SHARE))
            load = load_since(before, device)
    return Latency(
        protocol="quick",
        conditions=conditions,
        image_ms=quantiles([[call.image_ms for call in calls]]),
        network_ms=quantiles([[call.network_ms for call in calls]]),
        launch_share=launch_share(calls),
        cold_start_ms=cold_start_ms,
        preparation_seconds=preparation_seconds,
        runs=len(calls),
        processes=1,
        spread=spread(calls),
        waited_share=load.waited_share,
        unsteady=tuple(stability.of_loads([load])),
    )
