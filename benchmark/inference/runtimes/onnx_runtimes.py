"""ONNX Runtime, on the CPU and, by its TensorRT provider, on NVIDIA's GPUs."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import RuntimeUnavailable
from benchmark.inference import onnx
from benchmark.inference.inference_module import Dtype
from benchmark.inference.optional_deps import missing_packages
from benchmark.inference.runtimes.runner import Runner, input_tensor, nothing_to_wait_for, output_image, wait_for
from benchmark.model import Restorer

_TENSORRT = "TensorrtExecutionProvider"
_HALF = {"float16": "trt_fp16_enable", "bfloat16": "trt_bf16_enable"}


def onnxruntime(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> Runner:
    """ONNX Runtime on the CPU, with as many threads as torch has."""
    session = onnx.open_session(onnx.onnx_bytes(restorer, size), ["CPUExecutionProvider"])

    @torch.inference_mode()
    def to_input(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return input_tensor(image, size, device).numpy()

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return session.run([onnx.OUTPUT], {onnx.INPUT: image})[0]

    return Runner(
        "onnxruntime", to_input, run, lambda answer: output_image(torch.from_numpy(answer)), nothing_to_wait_for
    )


def tensorrt(restorer: Restorer, size: tuple[int, int], device: torch.device, dtype: Dtype) -> Runner:
    """TensorRT by ONNX Runtime's provider; building its engine takes minutes. Not tried on a GPU by the authors.

    Image and answer stay on the GPU. `network` returns when it is done: ONNX Runtime has a stream of its own, so torch
    is waited for before it and it is waited for before torch goes on. In float32 TensorRT may compute with the 10-bit
    mantissa of TF32; the environment variable NVIDIA_TF32_OVERRIDE=0 forbids it.
    """
    index = device.index or 0
    options = {"device_id": index, **({_HALF[dtype]: True} if dtype in _HALF else {})}
    fallback = ("CUDAExecutionProvider", {"device_id": index})
    session = onnx.open_session(onnx.onnx_bytes(restorer, size), [(_TENSORRT, options), fallback])
    if _TENSORRT not in session.get_providers():
        raise RuntimeUnavailable("runtime tensorrt: ONNX Runtime cannot load TensorRT; pip install tensorrt")
    restored = torch.empty(1, 3, *size, device=device)

    @torch.inference_mode()
    def to_input(image: NDArray[np.uint8]) -> Tensor:
        return input_tensor(image, size, device)

    def run(image: Tensor) -> Tensor:
        binding = session.io_binding()
        binding.bind_input(onnx.INPUT, "cuda", index, np.float32, tuple(image.shape), image.data_ptr())
        binding.bind_output(onnx.OUTPUT, "cuda", index, np.float32, tuple(restored.shape), restored.data_ptr())
        torch.cuda.current_stream(device).synchronize()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return restored

    return Runner("tensorrt", to_input, run, output_image, wait_for(device))


def missing_onnxruntime(_device: torch.device) -> str | None:
    return missing_packages(("onnxruntime", *onnx.NEEDED), "onnx")


def missing_tensorrt(device: torch.device) -> str | None:
    if missing := missing_onnxruntime(device):
        return missing
    import onnxruntime

    if _TENSORRT not in onnxruntime.get_available_providers():
        return "this ONNX Runtime has no TensorRT provider; pip install onnxruntime-gpu instead of onnxruntime"
    return None
