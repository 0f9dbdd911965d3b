"""A network made ready to be timed."""

import time

import torch

from benchmark.gates.latency.result import Conditions
from benchmark.inference.runtimes import Runner
from benchmark.inference.runtimes import prepare as prepare_runtime
from benchmark.model import Restorer
from benchmark.model.restorer import fold


def prepare(restorer: Restorer, conditions: Conditions, device: torch.device) -> tuple[Runner, float]:
    """The runner of a network, folded where the conditions say so, and the seconds the runtime took to make it ready.

    The restorer is left as it was. Raises RuntimeUnavailable.
    """
    network = fold(restorer) if conditions.folded else restorer
    tiling = conditions.tiling
    size = (tiling.tile, tiling.tile) if tiling else conditions.image
    start = time.perf_counter()
    runner = prepare_runtime(conditions.runtime, network, size, device, conditions.dtype)
    return runner, time.perf_counter() - start
