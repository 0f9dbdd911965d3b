"""Runtimes: ways to run a network for inference. Here are those of torch itself; `onnx` has the others.

    prepared = prepare("compiled", restorer, (512, 512), torch.device("cpu"))
    restored = prepared.restore(image)     # H W 3 uint8, again and again

The runtimes for CUDA have not been tried on a GPU by the authors.
"""

import os
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause, suggestion
from benchmark.inference import onnx, onnx_runtimes
from benchmark.inference.prepared_network import AnyImage, ImageNetwork, PreparedNetwork, input_tensor
from benchmark.model import Restorer
from reports.schema import Dtype

SIZE_FREE_RUNTIMES: Mapping[str, torch.memory_format] = {
    "eager": torch.contiguous_format,
    "channels_last": torch.channels_last,
}
"""Runtimes in which one copy of the network serves images of all sizes -> how its features lie in memory."""
_PREPARED_SIZES = 4
"""Networks that `prepare_sizes` keeps, each prepared for one size of images."""
_WARM_UP_RUNS = 3
"""Before a CUDA graph is captured: what libraries allocate or choose in their first calls must not be captured."""


def eager(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> PreparedNetwork:
    """Run operation by operation, as in training."""
    return _for_any_size("eager", restorer, device, dtype)(size)


def channels_last(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> PreparedNetwork:
    """Run like eager, with the channels of a pixel side by side in memory."""
    return _for_any_size("channels_last", restorer, device, dtype)(size)


def _for_any_size(
    runtime: str, restorer: Restorer, device: torch.device, dtype: Dtype
) -> Callable[[tuple[int, int]], PreparedNetwork]:
    layout = SIZE_FREE_RUNTIMES[runtime]
    network = ImageNetwork(restorer, dtype).to(device).to(memory_format=layout)
    return lambda size: _prepared(network, size, device, layout)


def compiled(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> PreparedNetwork:
    """Compile with torch.compile (inductor) for this size alone, which takes half a minute or more.

    Channels last: on the CPU one thread takes 15 % less that way for NAFNet and Restormer, and no more for gUNet.
    The network is never compiled again: a call that would need that, e.g. after a change of torch's threads, raises
    RuntimeError.
    """
    layout = torch.channels_last
    network = ImageNetwork(restorer, dtype).to(device).to(memory_format=layout)
    example = _example(size, device, layout)
    try:
        with torch.inference_mode():
            # A program of its own: torch counts compilations by code, and all networks share the code of `forward`.
            program = torch.export.export(network, (example,)).module()
            call = torch.compile(program, fullgraph=True, dynamic=False)
            call(example)
    except Exception as error:  # of Python, torch or a C++ compiler
        raise RuntimeUnavailable(f"runtime compiled: cannot compile this network: {root_cause(error)}") from error
    return _prepared(torch.compiler.set_stance("fail_on_recompile")(call), size, device, layout)


def cuda_graph(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> PreparedNetwork:
    """Launch all kernels of the network at once: for small networks, whose launches take longer than the kernels.

    Not tried on a GPU by the authors.
    """
    network = ImageNetwork(restorer, dtype).to(device)
    graph_input = _example(size, device, torch.contiguous_format)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.device(device):
        side_stream = torch.cuda.Stream(device)
        side_stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side_stream):
            for _ in range(_WARM_UP_RUNS):
                network(graph_input)
        torch.cuda.current_stream(device).wait_stream(side_stream)
        with torch.cuda.graph(graph):
            restored = network(graph_input)

    def replay(image: Tensor, _weights_stay_alive: ImageNetwork = network) -> Tensor:
        """Run the graph, which reads the weights of the network; the next call overwrites the output."""
        graph_input.copy_(image)
        graph.replay()
        return restored

    return _prepared(replay, size, device, torch.contiguous_format)


def missing_compiler(device: torch.device) -> str | None:
    """Return what torch.compile lacks on this machine, and what installs it; None if nothing."""
    compiler = os.environ.get("CXX") or "g++"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if device.type == "cuda" and find_spec("triton") is None:
        return "needs triton; pip install triton"
    if shutil.which(compiler) is None:
        return f"needs a C++ compiler, and there is no {compiler!r}; apt-get install g++"
    if not header.is_file():
        return f"needs {header}; apt-get install python3-dev"
    return None


def _prepared(
    network: Callable[[Tensor], Tensor], size: tuple[int, int], device: torch.device, layout: torch.memory_format
) -> PreparedNetwork:
    strides = _example(size, device, layout).stride()

    @torch.inference_mode()
    def to_input(image: AnyImage) -> Tensor:
        # A side of one pixel may have any stride; a compiled network insists on that of its example.
        return input_tensor(image, size, device).contiguous(memory_format=layout).as_strided((1, 3, *size), strides)

    return PreparedNetwork(to_input, torch.inference_mode()(network), lambda output: output)


@torch.inference_mode()
def _example(size: tuple[int, int], device: torch.device, layout: torch.memory_format) -> Tensor:
    return torch.zeros(1, 3, *size, device=device).contiguous(memory_format=layout)


@dataclass(frozen=True)
class _Runtime:
    prepare: Callable[[Restorer, tuple[int, int], torch.device, Dtype], PreparedNetwork]
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[Dtype, ...] = get_args(Dtype)
    missing: Callable[[torch.device], str | None] = lambda _device: None
    """Returns what a device lacks for this runtime, and what installs it."""


_RUNTIMES: Mapping[str, _Runtime] = {
    "eager": _Runtime(eager),
    "channels_last": _Runtime(channels_last),
    "compiled": _Runtime(compiled, missing=missing_compiler),
    "cuda_graph": _Runtime(cuda_graph, devices=("cuda",)),
    "onnxruntime": _Runtime(
        onnx_runtimes.onnxruntime,
        ("cpu",),
        ("float32",),
        missing=lambda _: missing_packages(onnx_runtimes.RUNTIME_PACKAGES, "onnx"),
    ),
    "openvino": _Runtime(
        onnx_runtimes.openvino,
        ("cpu",),
        ("float32",),
        missing=lambda _: missing_packages(("openvino", *onnx.WRITER_PACKAGES), "openvino"),
    ),
    "tensorrt": _Runtime(onnx_runtimes.tensorrt, ("cuda",), missing=lambda _: onnx_runtimes.missing_tensorrt()),
}


def prepare(
    runtime: str, restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype = "float32"
) -> PreparedNetwork:
    """Prepare a network for images of one size on a device.

    Args:
        runtime: One of `runtime_names`.
        restorer: The network; it stays as it is.
        size: Height and width of the images.
        device: The device; on the CPU, as many threads are used as torch has.
        dtype: Of weights and features. Input and output of the network are float32.

    Raises:
        RuntimeUnavailable: The runtime is not installed, or cannot run this network.
    """
    check_runtime(runtime, device, dtype)
    return _RUNTIMES[runtime].prepare(restorer, size, device, dtype)


def prepare_sizes(
    runtime: str, restorer: Restorer, device: torch.device, dtype: Dtype = "float32"
) -> Callable[[tuple[int, int]], PreparedNetwork]:
    """Return a function that prepares a network for images of a size, and keeps what it prepared last.

    Args:
        runtime: As of `prepare`, and so are the others.
        restorer: The network; it stays as it is.
        device: The device.
        dtype: Of weights and features.

    Raises:
        RuntimeUnavailable: As `prepare`; by what is returned, too.
    """
    check_runtime(runtime, device, dtype)
    if runtime in SIZE_FREE_RUNTIMES:
        return _for_any_size(runtime, restorer, device, dtype)
    return lru_cache(_PREPARED_SIZES)(lambda size: prepare(runtime, restorer, size, device, dtype))


def check_runtime(runtime: str, device: torch.device, dtype: Dtype) -> None:
    """Raise RuntimeUnavailable where `prepare` would for every network and size."""
    if reason := unavailable(runtime, device):
        raise RuntimeUnavailable(reason)
    dtypes = _RUNTIMES[runtime].dtypes
    if dtype not in dtypes:
        raise RuntimeUnavailable(f"runtime {runtime}: not with dtype {dtype}; use {' or '.join(dtypes)}")


def runtime_names(device_type: str) -> tuple[str, ...]:
    """Return all runtimes for a kind of device (`cpu`, `cuda`), installed or not."""
    return tuple(name for name, runtime in _RUNTIMES.items() if device_type in runtime.devices)


def unavailable(runtime: str, device: torch.device) -> str | None:
    """Return in one line why a device has no such runtime; None if it has, as far as is known before `prepare`."""
    names = runtime_names(device.type)
    if runtime not in _RUNTIMES:
        return f"no runtime {runtime!r}; {suggestion(runtime, names)}"
    if runtime not in names:
        return f"runtime {runtime}: only on {_RUNTIMES[runtime].devices[0]}; on {device.type}: {', '.join(names)}"
    missing = _RUNTIMES[runtime].missing(device)
    return f"runtime {runtime}: {missing}" if missing else None
