"""Runtimes that read ONNX: ONNX Runtime and OpenVINO on the CPU, TensorRT on NVIDIA's GPUs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.inference import onnx
from benchmark.inference.prepared_network import Dtype, PreparedNetwork, input_tensor, output_image
from benchmark.model import Restorer

_TENSORRT = "TensorrtExecutionProvider"
_HALF_PRECISION_OPTIONS = {"float16": "trt_fp16_enable", "bfloat16": "trt_bf16_enable"}


def onnxruntime(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> PreparedNetwork:
    """Run with ONNX Runtime on the CPU, with as many threads as torch has."""
    session = onnx.open_session(onnx.onnx_bytes(restorer, size), ["CPUExecutionProvider"])
    return _prepared_on_cpu(size, lambda image: session.run([onnx.OUTPUT], {onnx.INPUT: image})[0])


def openvino(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> PreparedNetwork:
    """Run with OpenVINO on the CPU in float32, with as many threads as torch has.

    By default OpenVINO uses bfloat16 where the processor has it. Every call overwrites the output of the one before.
    """
    import openvino as library

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    content = onnx.onnx_bytes(restorer, size)
    try:
        core = library.Core()
        request = core.compile_model(core.read_model(content), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise RuntimeUnavailable(f"runtime openvino: cannot read this network: {root_cause(error)}") from error
    return _prepared_on_cpu(
        size, lambda image: request.infer({onnx.INPUT: image}, share_inputs=True, share_outputs=True)[0]
    )


def _prepared_on_cpu(
    size: tuple[int, int], network: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> PreparedNetwork:
    @torch.inference_mode()
    def to_input(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return input_tensor(image, size, torch.device("cpu")).numpy()

    return PreparedNetwork(to_input, network, lambda output: output_image(torch.from_numpy(output)))


def tensorrt(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> PreparedNetwork:
    """Run with TensorRT, a provider of ONNX Runtime; building its engine takes minutes.

    Not tried on a GPU by the authors. Input and output stay on the GPU. `network` returns when it is done: ONNX Runtime
    has a stream of its own, so it waits for torch before the call, and torch waits for it after. In float32 TensorRT
    may compute with the 10-bit mantissa of TF32; the environment variable NVIDIA_TF32_OVERRIDE=0 forbids it.
    """
    index = device.index or 0
    options: dict[str, Any] = {"device_id": index}
    if dtype in _HALF_PRECISION_OPTIONS:
        options[_HALF_PRECISION_OPTIONS[dtype]] = True
    fallback = ("CUDAExecutionProvider", {"device_id": index})
    session = onnx.open_session(onnx.onnx_bytes(restorer, size), [(_TENSORRT, options), fallback])
    if _TENSORRT not in session.get_providers():
        raise RuntimeUnavailable("runtime tensorrt: ONNX Runtime cannot load TensorRT; pip install tensorrt")
    restored = torch.empty(1, 3, *size, device=device)

    @torch.inference_mode()
    def to_input(image: NDArray[np.uint8]) -> Tensor:
        return input_tensor(image, size, device)

    def network(image: Tensor) -> Tensor:
        binding = session.io_binding()
        binding.bind_input(onnx.INPUT, "cuda", index, np.float32, tuple(image.shape), image.data_ptr())
        binding.bind_output(onnx.OUTPUT, "cuda", index, np.float32, tuple(restored.shape), restored.data_ptr())
        torch.cuda.current_stream(device).synchronize()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return restored

    return PreparedNetwork(to_input, network, output_image)


def missing_onnxruntime(_device: torch.device) -> str | None:
    """Return which packages are missing for ONNX Runtime, and what installs them; None if none is."""
    return missing_packages(("onnxruntime", *onnx.WRITER_PACKAGES), "onnx")


def missing_openvino(_device: torch.device) -> str | None:
    """Return which packages are missing for OpenVINO, and what installs them; None if none is."""
    return missing_packages(("openvino", *onnx.WRITER_PACKAGES), "openvino")


def missing_tensorrt(device: torch.device) -> str | None:
    """Return what is missing for TensorRT, and what installs it; None if nothing is."""
    if missing := missing_onnxruntime(device):
        return missing
    import onnxruntime

    if _TENSORRT not in onnxruntime.get_available_providers():
        return "this ONNX Runtime has no TensorRT provider; pip install onnxruntime-gpu instead of onnxruntime"
    return None
