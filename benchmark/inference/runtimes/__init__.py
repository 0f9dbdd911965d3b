"""Runtimes: ways to run a network for inference; each has a function that makes the network ready.

    runner = prepare("compiled", restorer, (512, 512), torch.device("cpu"))
    restored = runner.restore(image)     # H W 3 uint8, again and again

What needs a GPU has not been tried on one by the authors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from benchmark.errors import RuntimeUnavailable, suggestion
from benchmark.inference.inference_module import Dtype
from benchmark.inference.runtimes import onnx_runtimes, openvino, torch_runtimes
from benchmark.inference.runtimes.runner import Runner
from benchmark.model import Restorer

__all__ = ["Dtype", "Runner", "RuntimeUnavailable", "prepare", "runtime_names", "unavailable"]


def _nothing(_device: torch.device) -> None:
    return None


@dataclass(frozen=True)
class _Runtime:
    """`missing` says what a device lacks for it, and what adds that."""

    prepare: Callable[[Restorer, tuple[int, int], torch.device, Dtype], Runner]
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[Dtype, ...] = ("float32", "float16", "bfloat16")
    missing: Callable[[torch.device], str | None] = field(default=_nothing)


_RUNTIMES: Mapping[str, _Runtime] = {
    "eager": _Runtime(torch_runtimes.eager),
    "channels_last": _Runtime(torch_runtimes.channels_last),
    "compiled": _Runtime(torch_runtimes.compiled, missing=torch_runtimes.missing_compiler),
    "cuda_graph": _Runtime(torch_runtimes.cuda_graph, devices=("cuda",)),
    "onnxruntime": _Runtime(
        onnx_runtimes.onnxruntime, ("cpu",), ("float32",), missing=onnx_runtimes.missing_onnxruntime
    ),
    "openvino": _Runtime(openvino.openvino, ("cpu",), ("float32",), missing=openvino.missing_openvino),
    "tensorrt": _Runtime(onnx_runtimes.tensorrt, ("cuda",), missing=onnx_runtimes.missing_tensorrt),
}


def prepare(
    runtime: str, restorer: Restorer, image: tuple[int, int], device: torch.device, dtype: Dtype = "float32"
) -> Runner:
    """Make a network ready for images of a size (height, width) on a device; the restorer stays as it is.

    `dtype`: of weights and features; images are float32 before and after the network. Threads on the CPU are those of
    torch. Raises RuntimeUnavailable: one line that says what installs the runtime, or why it cannot be.
    """
    if reason := unavailable(runtime, device):
        raise RuntimeUnavailable(reason)
    chosen = _RUNTIMES[runtime]
    if dtype not in chosen.dtypes:
        raise RuntimeUnavailable(f"runtime {runtime}: not with dtype {dtype}; use {' or '.join(chosen.dtypes)}")
    return chosen.prepare(restorer, image, device, dtype)


def runtime_names(device_type: str) -> tuple[str, ...]:
    """All runtimes for a kind of device (`cpu`, `cuda`), installed or not."""
    return tuple(name for name, runtime in _RUNTIMES.items() if device_type in runtime.devices)


def unavailable(runtime: str, device: torch.device) -> str | None:
    """Why a runtime cannot be used on a device, in one line; None if it can, as far as is known before preparing."""
    if runtime not in _RUNTIMES:
        return f"no runtime {runtime!r}; {suggestion(runtime, runtime_names(device.type))}"
    chosen = _RUNTIMES[runtime]
    if device.type not in chosen.devices:
        return (
            f"runtime {runtime}: only on {chosen.devices[0]}; on {device.type}: {', '.join(runtime_names(device.type))}"
        )
    missing = chosen.missing(device)
    return f"runtime {runtime}: {missing}" if missing else None
