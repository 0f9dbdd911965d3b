"""Runtimes that are torch itself: eager, in another memory layout, compiled, as a CUDA graph."""

import os
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import RuntimeUnavailable
from benchmark.inference.inference_module import Dtype, ImageNetwork
from benchmark.inference.optional_deps import reason
from benchmark.inference.runtimes.runner import Runner, input_tensor, output_image, wait_for
from benchmark.model import Restorer

_WARM_UP_RUNS = 3
"""Before a CUDA graph is captured: what libraries set up or choose at a first call must not be captured."""


def eager(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> Runner:
    """Operation by operation, as in training."""
    return _runner("eager", ImageNetwork(restorer, dtype).to(device), size, device, torch.contiguous_format)


def channels_last(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> Runner:
    """Like eager, with the channels of a pixel side by side in memory."""
    layout = torch.channels_last
    network = ImageNetwork(restorer, dtype).to(device).to(memory_format=layout)
    return _runner("channels_last", network, size, device, layout)


def compiled(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> Runner:
    """Compiled by torch.compile (inductor) for this size alone, which takes half a minute or more.

    Channels last: on the CPU one thread takes 15 % less that way for NAFNet and Restormer, and no more for gUNet.
    It never compiles again: a call that would need that, e.g. after a change of torch's threads, raises RuntimeError.
    """
    layout = torch.channels_last
    network = ImageNetwork(restorer, dtype).to(device).to(memory_format=layout)
    example = _example(size, device, layout)
    try:
        with torch.inference_mode():
            # A program of its own: torch counts what it compiles by code, and all networks would share that of forward.
            program = torch.export.export(network, (example,)).module()
            call = torch.compile(program, fullgraph=True, dynamic=False)
            call(example)
    except Exception as error:  # of Python, torch, a C++ compiler: whatever stands in the way of somebody's network
        raise RuntimeUnavailable(f"runtime compiled: cannot compile this network: {reason(error)}") from error
    fixed = torch.compiler.set_stance("fail_on_recompile")(call)
    return _runner("compiled", fixed, size, device, layout)


@dataclass(frozen=True)
class _Captured:
    """A CUDA graph that reads `given` and writes `answer`; with the weights, which it reads but does not keep alive."""

    network: ImageNetwork
    graph: torch.cuda.CUDAGraph
    given: Tensor
    answer: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        """The answer lies where that of the next call will."""
        self.given.copy_(image)
        self.graph.replay()
        return self.answer


def cuda_graph(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> Runner:
    """All kernels of the network launched at once: for small networks, whose launches take longer than they do.

    Not tried on a GPU by the authors.
    """
    network = ImageNetwork(restorer, dtype).to(device)
    given = _example(size, device, torch.contiguous_format)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.device(device):
        side_stream = torch.cuda.Stream(device)
        side_stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side_stream):
            for _ in range(_WARM_UP_RUNS):
                network(given)
        torch.cuda.current_stream(device).wait_stream(side_stream)
        with torch.cuda.graph(graph):
            answer = network(given)
    return _runner("cuda_graph", _Captured(network, graph, given, answer), size, device, torch.contiguous_format)


def missing_compiler(device: torch.device) -> str | None:
    """What torch.compile lacks on this machine, and what adds it; None if nothing."""
    compiler = os.environ.get("CXX") or "g++"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if device.type == "cuda" and find_spec("triton") is None:
        return "needs triton; pip install triton"
    if shutil.which(compiler) is None:
        return f"needs a C++ compiler, and there is no {compiler!r}; apt-get install g++"
    if not header.is_file():
        return f"needs {header}; apt-get install python3-dev"
    return None


def _runner(
    runtime: str,
    network: Callable[[Tensor], Tensor],
    size: tuple[int, int],
    device: torch.device,
    layout: torch.memory_format,
) -> Runner:
    @torch.inference_mode()
    def to_input(image: NDArray[np.uint8]) -> Tensor:
        return input_tensor(image, size, device).contiguous(memory_format=layout)

    return Runner(runtime, to_input, torch.inference_mode()(network), output_image, wait_for(device))


@torch.inference_mode()
def _example(size: tuple[int, int], device: torch.device, layout: torch.memory_format) -> Tensor:
    return torch.zeros(1, 3, *size, device=device).contiguous(memory_format=layout)
