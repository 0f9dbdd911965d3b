"""OpenVINO on the CPU."""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.errors import RuntimeUnavailable
from benchmark.inference import onnx
from benchmark.inference.inference_module import Dtype
from benchmark.inference.optional_deps import missing_packages, reason
from benchmark.inference.runtimes.runner import Runner, input_tensor, nothing_to_wait_for, output_image
from benchmark.model import Restorer


def openvino(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> Runner:
    """OpenVINO in float32, which it would leave for bfloat16 where the processor has that, with torch's threads.

    Every call writes its answer where the one before did.
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
        raise RuntimeUnavailable(f"runtime openvino: cannot read this network: {reason(error)}") from error

    @torch.inference_mode()
    def to_input(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return input_tensor(image, size, device).numpy()

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return request.infer({onnx.INPUT: image}, share_inputs=True, share_outputs=True)[0]

    return Runner("openvino", to_input, run, lambda answer: output_image(torch.from_numpy(answer)), nothing_to_wait_for)


def missing_openvino(_device: torch.device) -> str | None:
    return missing_packages(("openvino", *onnx.NEEDED), "openvino")
