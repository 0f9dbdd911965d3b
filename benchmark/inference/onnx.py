"""Write a network as an ONNX file, for other programs and for the runtimes that read ONNX; open and check it."""

import operator
from typing import Any

import torch

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.inference.prepared_network import Dtype, ImageNetwork
from benchmark.model import Restorer

INPUT, OUTPUT = "degraded", "restored"
WRITER_PACKAGES = ("onnx", "onnxscript")
_LOG_ERRORS_ONLY = 3
_DESCRIPTION = (
    "degraded: RGB image 1 3 H W, float32 in [0, 1]; restored: the restored image, likewise, clamped to [0, 1]"
)


def onnx_bytes(restorer: Restorer, image: tuple[int, int], *, dynamic: bool = False, dtype: Dtype = "float32") -> bytes:
    """Return the content of an ONNX file that restores images.

    Its input `degraded` and its output `restored` are `1 3 H W` float32 in [0, 1]; the output is clamped; maps are
    left out.

    Args:
        restorer: The network.
        image: Height and width of the images.
        dynamic: For images of any size whose sides have more pixels than padding adds to them; the export takes
            several times longer.
        dtype: Of the weights, and of everything between input and output.

    Raises:
        RuntimeUnavailable: A package is missing, or the network cannot be exported.
    """
    if missing := missing_packages(WRITER_PACKAGES, "onnx"):
        raise RuntimeUnavailable(f"ONNX: {missing}")
    size = _size_that_needs_padding(restorer, image) if dynamic else image
    try:
        return _exported(ImageNetwork(restorer, dtype).cpu(), size, dynamic=dynamic)
    except Exception as error:  # of torch, onnxscript or a user's network
        raise RuntimeUnavailable(f"ONNX: this network cannot be exported: {root_cause(error)}") from error


def largest_difference(content: bytes, restorer: Restorer, image: tuple[int, int]) -> float:
    """Return the largest difference between this file in ONNX Runtime and the network in torch, in float32.

    Of a random image with values in [0, 1].

    Raises:
        RuntimeUnavailable: ONNX Runtime is not installed or cannot read the file.
    """
    degraded = torch.rand(1, 3, *image, generator=torch.Generator().manual_seed(0))
    session = open_session(content, ["CPUExecutionProvider"])
    (restored,) = session.run([OUTPUT], {INPUT: degraded.numpy()})
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


def _exported(network: ImageNetwork, size: tuple[int, int], *, dynamic: bool) -> bytes:
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network,
        (torch.zeros(1, 3, *size),),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamo=True,
        verbose=False,
        dynamic_shapes={INPUT: sides} if dynamic else None,
        custom_translation_table={operator.floordiv: _floor_division},
    )
    assert program is not None
    return _without_origins(program.model_proto).SerializeToString()


def _size_that_needs_padding(restorer: Restorer, image: tuple[int, int]) -> tuple[int, int]:
    """Return a size near that of the image whose sides differ and need padding.

    From one example, the exporter infers rules for all sizes, e.g. that height and width are equal.
    """
    backbone = restorer.backbone
    step = backbone.multiple_of
    height, width = (max(side, backbone.min_side) // step * step for side in image)
    return height + step + 1, (width if width != height else width + step) + 2 * step + 1


def _floor_division(dividend: Any, divisor: Any) -> Any:
    """Divide integers and round down: the exporter's own translation rounds toward 0, and padding divides negatives."""
    from onnxscript import opset18

    operations: Any = opset18  # typed for tensors only, and sizes are integers
    return operations.Div(operations.Sub(dividend, operations.Mod(dividend, divisor)), divisor)


def _without_origins(model: Any) -> Any:
    """Remove the notes on where operations come from: half of the file, and paths of the exporting machine."""
    model.doc_string = _DESCRIPTION
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
    for tensor in model.graph.initializer:
        tensor.ClearField("metadata_props")
    return model
