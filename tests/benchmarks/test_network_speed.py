"""How fast the small networks run and train, beside a plain convolution of the same cost: `make bench`.

The table of these numbers: `python tests/benchmarks/network_speed.py`.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.gates.cost import macs, parameters
from benchmark.inference.device_setup import configure_process
from benchmark.model import Restorer, build
from benchmark.model.restorer import fold
from benchmark.registry import Registry

SIDE = 256
ROUNDS = 5
CHANNELS = 64
CONVOLUTION_MACS = 9 * CHANNELS**2 * SIDE**2
LAYOUT = torch.channels_last  # as training has it by default


@pytest.mark.parametrize("mode", ["forward", "folded", "training"])
@pytest.mark.parametrize("name", Registry().names("backbone"))
def test_network_speed(benchmark: Any, name: str, mode: str) -> None:
    """One image through backbone and head, as it stands, folded, or forward and backward.

    Before every round, 3x3 convolutions with about the same multiply-adds run. Other load on the machine affects both,
    so their ratio is more reliable than the times.
    """
    configure_process(torch.get_num_threads())
    size = Registry().find("backbone", name).sizes["small"]
    net = build({"backbone": {"name": name, **size}, "head": {"name": "degradation"}})
    cost = macs(net, (SIDE, SIDE))
    repeats = max(1, round(cost / CONVOLUTION_MACS))
    network_seconds: list[float] = []
    convolution_seconds: list[float] = []
    network = _timed(_step(net, mode), network_seconds)
    convolution = _timed(_convolution_step(repeats, mode), convolution_seconds)

    benchmark.pedantic(network, setup=convolution, rounds=ROUNDS, warmup_rounds=1)

    seconds = statistics.median(network_seconds[1:])
    speed = cost / seconds
    convolution_speed = repeats * CONVOLUTION_MACS / statistics.median(convolution_seconds[1:])
    benchmark.extra_info.update(
        backbone=name,
        mode=mode,
        side=SIDE,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        parameters=parameters(fold(net) if mode == "folded" else net),
        gmacs=cost / 1e9,
        median_ms=1000 * seconds,
        images_per_second=1 / seconds,
        gmacs_per_second=speed / 1e9,
        convolution_gmacs_per_second=convolution_speed / 1e9,
        share_of_convolution_speed=speed / convolution_speed,
    )


def _timed(step: Callable[[], object], seconds: list[float]) -> Callable[[], None]:
    """Return the step as a function that appends the seconds of each call to a list."""

    def run() -> None:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)

    return run


def _step(net: Restorer, mode: str) -> Callable[[], object]:
    image = torch.rand(1, 3, SIDE, SIDE).contiguous(memory_format=LAYOUT)
    if mode == "training":
        training = copy.deepcopy(net).train().to(memory_format=LAYOUT)
        return lambda: _forward_and_backward(training, lambda: training(image).image)
    inferring = (fold(net) if mode == "folded" else copy.deepcopy(net).eval()).to(memory_format=LAYOUT)
    return torch.inference_mode()(lambda: inferring(image))


def _convolution_step(repeats: int, mode: str) -> Callable[[], object]:
    """Return a step that runs convolutions in sequence.

    In training even the first input requires a gradient, like nearly all inputs within a network.
    """
    layers = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(repeats)]
    convolutions = nn.Sequential(*layers).to(memory_format=LAYOUT)
    features = torch.rand(1, CHANNELS, SIDE, SIDE).contiguous(memory_format=LAYOUT)
    if mode == "training":
        features.requires_grad_()
        return lambda: _forward_and_backward(convolutions, lambda: convolutions(features))
    return torch.inference_mode()(lambda: convolutions(features))


def _forward_and_backward(module: nn.Module, forward: Callable[[], Tensor]) -> None:
    module.zero_grad()
    forward().square().mean().backward()
