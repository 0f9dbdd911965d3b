"""Runtimes: ways to run a network for inference.

    prepared = prepare("compiled", restorer, (512, 512), torch.device("cpu"))
    restored = prepared.restore(image)     # H W 3 uint8, again and again

The runtimes for CUDA have not been tried on a GPU by the authors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmark.errors import RuntimeUnavailable, suggestion
from benchmark.inference import onnx_runtimes, torch_runtimes
from benchmark.inference.prepared_network import Dtype, PreparedNetwork
from benchmark.model import Restorer


@dataclass(frozen=True)
class _Runtime:
    prepare: Callable[[Restorer, tuple[int, int], torch.device, Dtype], PreparedNetwork]
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[Dtype, ...] = ("float32", "float16", "bfloat16")
    missing: Callable[[torch.device], str | None] = lambda _device: None
    """Returns what a device lacks for this runtime, and what installs it."""


_RUNTIMES: Mapping[str, _Runtime] = {
    "eager": _Runtime(torch_runtimes.eager),
    "channels_last": _Runtime(torch_runtimes.channels_last),
    "compiled": _Runtime(torch_runtimes.compiled, missing=torch_runtimes.missing_compiler),
    "cuda_graph": _Runtime(torch_runtimes.cuda_graph, devices=("cuda",)),
    "onnxruntime": _Runtime(
        onnx_runtimes.onnxruntime, ("cpu",), ("float32",), missing=onnx_runtimes.missing_onnxruntime
    ),
    "openvino": _Runtime(onnx_runtimes.openvino, ("cpu",), ("float32",), missing=onnx_runtimes.missing_openvino),
    "tensorrt": _Runtime(onnx_runtimes.tensorrt, ("cuda",), missing=onnx_runtimes.missing_tensorrt),
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
    if reason := unavailable(runtime, device):
        raise RuntimeUnavailable(reason)
    dtypes = _RUNTIMES[runtime].dtypes
    if dtype not in dtypes:
        raise RuntimeUnavailable(f"runtime {runtime}: not with dtype {dtype}; use {' or '.join(dtypes)}")
    return _RUNTIMES[runtime].prepare(restorer, size, device, dtype)


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
