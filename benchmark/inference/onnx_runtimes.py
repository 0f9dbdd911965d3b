"""Run ONNX files: by ONNX Runtime, OpenVINO or TensorRT; and by how much they differ from torch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.inference.onnx import INPUT, OUTPUT, TRANSFORM, WRITER_PACKAGES, onnx_bytes
from benchmark.inference.prepared_network import ImageNetwork, PreparedNetwork, input_tensor
from benchmark.model import Restorer
from reports.schema import Dtype

RUNTIME_PACKAGES = ("onnxruntime", *WRITER_PACKAGES)
FILE_RUNTIMES = ("onnxruntime", "openvino")
"""Runtimes of ONNX files on the CPU."""
_LOG_ERRORS_ONLY = 3
_TENSORRT = "TensorrtExecutionProvider"
_HALF_PRECISION_OPTIONS = {"float16": {"trt_fp16_enable": True}, "bfloat16": {"trt_bf16_enable": True}}


def largest_difference(content: bytes, restorer: Restorer, image: tuple[int, int]) -> float:
    """Return the largest difference between this file in ONNX Runtime and the network in torch, in float32.

    Of a random image with values in [0, 1].

    Raises:
        RuntimeUnavailable: ONNX Runtime is not installed, or cannot read the file or run it for this image.
    """
    degraded = torch.rand(1, 3, *image, generator=torch.Generator().manual_seed(0))
    restored = run_session(open_session(content, ["CPUExecutionProvider"]), degraded.numpy())
    with torch.inference_mode():
        expected = ImageNetwork(restorer).cpu()(degraded)
    return (torch.from_numpy(restored) - expected).abs().max().item()


def open_session(content: bytes, providers: list[Any]) -> Any:
    """Return a session of ONNX Runtime with as many threads as torch has.

    Raises:
        RuntimeUnavailable: ONNX Runtime is not installed or cannot read the file.
    """
    if missing := missing_packages(["onnxruntime"], "onnx"):
        raise RuntimeUnavailable(f"ONNX Runtime: {missing}")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # its errors have no common class
        raise RuntimeUnavailable(f"ONNX Runtime: cannot read this network: {root_cause(error)}") from error


def run_session(session: Any, degraded: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the restored image of a degraded one, both `1 3 H W` in [0, 1].

    Raises:
        RuntimeUnavailable: ONNX Runtime cannot run the file for this image.
    """
    try:
        (restored,) = session.run([OUTPUT], {INPUT: degraded})
    except Exception as error:  # its errors have no common class
        height, width = degraded.shape[2:]
        raise RuntimeUnavailable(
            f"ONNX Runtime: cannot run this network on {height} x {width} pixels: {root_cause(error)}"
        ) from error
    return restored


def prepare_file(runtime: str, content: bytes, size: tuple[int, int]) -> PreparedNetwork:
    """Prepare an ONNX file for images of one size on the CPU, with as many threads as torch has.

    Args:
        runtime: `onnxruntime` or `openvino`.
        content: Of the file.
        size: Height and width of the images.

    Raises:
        RuntimeUnavailable: The runtime is not installed, or cannot read the file.
    """
    if runtime == "openvino":
        request = open_request(content)
        infer = partial(request.infer, share_inputs=True, share_outputs=True)
        return _prepared_on_cpu(size, lambda image: infer({INPUT: image})[0])
    session = open_session(content, ["CPUExecutionProvider"])
    return _prepared_on_cpu(size, lambda image: session.run([OUTPUT], {INPUT: image})[0])


def onnxruntime(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> PreparedNetwork:
    """Run with ONNX Runtime on the CPU, with as many threads as torch has."""
    return prepare_file("onnxruntime", onnx_bytes(restorer, size), size)


def openvino(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> PreparedNetwork:
    """Run with OpenVINO on the CPU in float32, with as many threads as torch has.

    By default OpenVINO uses bfloat16 where the processor has it. Every call overwrites the output of the one before.
    """
    return prepare_file("openvino", onnx_bytes(restorer, size), size)


def open_request(content: bytes) -> Any:
    """Return a request of OpenVINO in float32 on the CPU, with as many threads as torch has.

    Raises:
        RuntimeUnavailable: OpenVINO cannot read the file.
    """
    import openvino as library

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    try:
        core = library.Core()
        return core.compile_model(core.read_model(content), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        reason = root_cause(error)
        if _has_transform(content):
            reason = "OpenVINO does not read Fourier transforms as torch exports them; use runtime onnxruntime"
        raise RuntimeUnavailable(f"runtime openvino: cannot read this network: {reason}") from error


def _has_transform(content: bytes) -> bool:
    import onnx

    return any(node.op_type == TRANSFORM for node in onnx.load_model_from_string(content).graph.node)


def _prepared_on_cpu(
    size: tuple[int, int], network: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> PreparedNetwork:
    return PreparedNetwork(
        lambda image: input_tensor(image, size, torch.device("cpu")).numpy(),
        network,
        torch.from_numpy,
    )


def tensorrt(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> PreparedNetwork:
    """Run with TensorRT, a provider of ONNX Runtime; building its engine takes minutes.

    Not tried on a GPU by the authors. Input and output stay on the GPU. `network` returns when it is done: ONNX Runtime
    has a stream of its own, so it waits for torch before the call, and torch waits for it after. In float32 TensorRT
    may compute with the 10-bit mantissa of TF32; the environment variable NVIDIA_TF32_OVERRIDE=0 forbids it.
    """
    index = device.index or 0
    options: dict[str, Any] = {"device_id": index, **_HALF_PRECISION_OPTIONS.get(dtype, {})}
    fallback = ("CUDAExecutionProvider", {"device_id": index})
    session = open_session(onnx_bytes(restorer, size), [(_TENSORRT, options), fallback])
    if _TENSORRT not in session.get_providers():
        raise RuntimeUnavailable("runtime tensorrt: ONNX Runtime cannot load TensorRT; pip install tensorrt")
    restored = torch.empty(1, 3, *size, device=device)

    def network(image: Tensor) -> Tensor:
        binding = session.io_binding()
        binding.bind_input(INPUT, "cuda", index, np.float32, tuple(image.shape), image.data_ptr())
        binding.bind_output(OUTPUT, "cuda", index, np.float32, tuple(restored.shape), restored.data_ptr())
        torch.cuda.current_stream(device).synchronize()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return restored

    return PreparedNetwork(lambda image: input_tensor(image, size, device), network, lambda output: output)


def missing_tensorrt() -> str | None:
    """Return what is missing for TensorRT, and what installs it; None if nothing is."""
    if missing := missing_packages(RUNTIME_PACKAGES, "onnx"):
        return missing
    import onnxruntime

    if _TENSORRT not in onnxruntime.get_available_providers():
        return "this ONNX Runtime has no TensorRT provider; pip install onnxruntime-gpu instead of onnxruntime"
    return None
