"""A reference kernel beside every benchmark: a plain 3x3 convolution, timed just before and after it in the same run.

Machines are shared and drift. The ratio to the reference says more than seconds: `compare_bench.py` beside this file
compares it with a saved baseline.
"""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

CHANNELS, SIDE_PX, ROUNDS = 64, 256, 5


def reference_ms() -> float:
    """Return the median time of the convolution, 2.4 giga multiply-adds, in milliseconds."""
    convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last)
    features = torch.rand(1, CHANNELS, SIDE_PX, SIDE_PX).contiguous(memory_format=torch.channels_last)
    times_ms: list[float] = []
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            convolution(features)
            times_ms.append(1000 * (time.perf_counter() - start))
    return statistics.median(times_ms[1:])  # the first one also allocates


@pytest.fixture(autouse=True)
def reference(request: pytest.FixtureRequest) -> Iterator[None]:
    """Store the time of the reference kernel in the benchmark's `extra_info`."""
    if "benchmark" not in request.fixturenames or not request.config.getoption("benchmark_only"):
        yield
        return
    benchmark: Any = request.getfixturevalue("benchmark")
    before_ms = reference_ms()
    yield
    benchmark.extra_info["reference_ms"] = (before_ms + reference_ms()) / 2
