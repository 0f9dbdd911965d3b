"""ONNX: write a network as a file, open and check it, and run it by ONNX Runtime, OpenVINO or TensorRT."""

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.inference.prepared_network import ImageNetwork, LevelsNetwork, PreparedNetwork, input_tensor
from benchmark.model import Restorer
from reports.schema import Dtype

INPUT, OUTPUT = "degraded", "restored"
SMALLEST_SIDE = "smallest_side"
"""Key of the file's metadata."""
WRITER_PACKAGES = ("onnx", "onnxscript")
RUNTIME_PACKAGES = ("onnxruntime", *WRITER_PACKAGES)
_LOG_ERRORS_ONLY = 3
_DESCRIPTION = (
    "degraded: RGB image 1 3 H W, float32 in [0, 1]; restored: the restored image, likewise, clamped to [0, 1]"
)
_TRANSFORM = "DFT"
_LEVELS_DESCRIPTION = "degraded: RGB image 1 H W 3, uint8; restored: the restored image, likewise"
_AXES = ("height", "width")
"""Names of the axes that are free in a file for any size."""
_TENSORRT = "TensorrtExecutionProvider"
_HALF_PRECISION_OPTIONS = {"float16": {"trt_fp16_enable": True}, "bfloat16": {"trt_bf16_enable": True}}


def onnx_bytes(
    restorer: Restorer,
    image: tuple[int, int],
    *,
    dynamic: bool = False,
    dtype: Dtype = "float32",
    in_levels: bool = False,
) -> bytes:
    """Return the content of an ONNX file that restores images.

    Its input `degraded` and its output `restored` are `1 3 H W` float32 in [0, 1]; the output is clamped; maps are
    left out. The file itself pads images to the sides that the network works in, and crops the result.

    Args:
        restorer: The network.
        image: Height and width of the images.
        dynamic: For images of any size from `smallest_side` on, which the metadata of the file name. The free axes are
            called `height` and `width`; the export takes several times longer.
        dtype: Of the weights, and of everything between input and output.
        in_levels: Input and output are `1 H W 3` uint8, as image files are decoded.

    Raises:
        RuntimeUnavailable: A package is missing, or the network cannot be exported.
    """
    if missing := missing_packages(WRITER_PACKAGES, "onnx"):
        raise RuntimeUnavailable(f"ONNX: {missing}")
    size = _size_that_needs_padding(restorer, image) if dynamic else image
    axes = (1, 2) if in_levels else (2, 3)
    network = LevelsNetwork(restorer, dtype) if in_levels else ImageNetwork(restorer, dtype)
    example = torch.zeros(1, *size, 3, dtype=torch.uint8) if in_levels else torch.zeros(1, 3, *size)
    try:
        program = torch.onnx.export(
            network.cpu(),
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            verbose=False,
            dynamic_shapes={INPUT: dict.fromkeys(axes, torch.export.Dim.DYNAMIC)} if dynamic else None,
            custom_translation_table={operator.floordiv: _floor_division},
        )
    except Exception as error:  # of torch, onnxscript or a user's network
        raise RuntimeUnavailable(f"ONNX: this network cannot be exported: {root_cause(error)}") from error
    assert program is not None
    model = program.model_proto
    model.doc_string = _LEVELS_DESCRIPTION if in_levels else _DESCRIPTION
    if dynamic:
        least = smallest_side(restorer)
        model.doc_string += f"; H and W of at least {least}"
        model.metadata_props.add(key=SMALLEST_SIDE, value=str(least))
        _name_axes(model.graph, axes)
    graph = model.graph
    if any(node.op_type == _TRANSFORM for node in graph.node):
        graph.ClearField("value_info")  # torch's shapes around transforms are wrong, and ONNX Runtime relies on them
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")  # where operations come from: half of the file, and paths of this machine
    return model.SerializeToString()


def _name_axes(graph: Any, axes: tuple[int, int]) -> None:
    """Call the free axes `height` and `width` wherever the exporter wrote its symbols for them, e.g. `4*((s77//4))`."""
    shape = graph.input[0].type.tensor_type.shape
    names = {shape.dim[axis].dim_param: name for axis, name in zip(axes, _AXES, strict=True)}
    symbols = re.compile("|".join(rf"\b{re.escape(symbol)}\b" for symbol in names))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = symbols.sub(lambda match: names[match[0]], dim.dim_param)
    for dim, name in zip((graph.output[0].type.tensor_type.shape.dim[axis] for axis in axes), _AXES, strict=True):
        dim.dim_param = name


def smallest_side(restorer: Restorer) -> int:
    """Return the smallest height and width that a file for any size takes.

    The file pads by one reflection, which needs more pixels than it adds, and what it pads has the backbone's smallest
    side already; in torch, smaller images are reflected repeatedly. The exporter takes a side of 1 for a special case.
    """
    backbone, least = restorer.backbone, max(restorer.min_side, 2)
    step = backbone.multiple_of if backbone.pad_mode == "reflect" else 1
    while any(-side % step >= side for side in range(least, least + step)):
        least += 1
    return least


def largest_difference(content: bytes, restorer: Restorer, image: tuple[int, int]) -> float:
    """Return the largest difference between this file in ONNX Runtime and the network in torch, in float32.

    Of a random image with values in [0, 1].

    Raises:
        RuntimeUnavailable: ONNX Runtime is not installed, or cannot read the file or run it for this image.
    """
    degraded = torch.rand(1, 3, *image, generator=torch.Generator().manual_seed(0))
    session = open_session(content, ["CPUExecutionProvider"])
    try:
        (restored,) = session.run([OUTPUT], {INPUT: degraded.numpy()})
    except Exception as error:  # its errors have no common class
        raise RuntimeUnavailable(
            f"ONNX Runtime: cannot run this network on {image[0]} x {image[1]} pixels: {root_cause(error)}"
        ) from error
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


def _size_that_needs_padding(restorer: Restorer, image: tuple[int, int]) -> tuple[int, int]:
    """Return a size near that of the image whose sides differ and need padding.

    From one example, the exporter infers rules for all sizes, e.g. that height and width are equal.
    """
    backbone = restorer.backbone
    step = backbone.multiple_of
    height, width = (max(side, restorer.min_side) // step * step for side in image)
    return height + step + 1, (width if width != height else width + step) + 2 * step + 1


def _floor_division(dividend: Any, divisor: Any) -> Any:
    """Divide integers and round down: the exporter's own translation rounds toward 0, and padding divides negatives."""
    from onnxscript import opset18

    operations: Any = opset18  # typed for tensors only, and sizes are integers
    return operations.Div(operations.Sub(dividend, operations.Mod(dividend, divisor)), divisor)


def onnxruntime(restorer: Restorer, size: tuple[int, int], device: torch.device, _dtype: Dtype) -> PreparedNetwork:
    """Run with ONNX Runtime on the CPU, with as many threads as torch has."""
    session = open_session(onnx_bytes(restorer, size), ["CPUExecutionProvider"])
    return _prepared_on_cpu(size, lambda image: session.run([OUTPUT], {INPUT: image})[0])


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
    content = onnx_bytes(restorer, size)
    try:
        core = library.Core()
        request = core.compile_model(core.read_model(content), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        reason = root_cause(error)
        if _has_transform(content):
            reason = "OpenVINO does not read Fourier transforms as torch exports them; use runtime onnxruntime"
        raise RuntimeUnavailable(f"runtime openvino: cannot read this network: {reason}") from error
    return _prepared_on_cpu(size, lambda image: request.infer({INPUT: image}, share_inputs=True, share_outputs=True)[0])


def _has_transform(content: bytes) -> bool:
    import onnx

    return any(node.op_type == _TRANSFORM for node in onnx.load_model_from_string(content).graph.node)


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
