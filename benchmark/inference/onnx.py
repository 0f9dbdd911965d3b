"""A network as an ONNX file: for other programs, and for the runtimes that read it."""

import operator
from typing import Any

import torch

from benchmark.errors import RuntimeUnavailable
from benchmark.inference.inference_module import Dtype, ImageNetwork
from benchmark.inference.optional_deps import missing_packages, reason
from benchmark.model import Restorer

INPUT, OUTPUT = "degraded", "restored"
NEEDED = ("onnx", "onnxscript")
_ERRORS_ONLY = 3
_ABOUT = "degraded: RGB image 1 3 H W, float32 in [0, 1]; restored: the restored image, likewise, clamped to [0, 1]"


def onnx_bytes(restorer: Restorer, image: tuple[int, int], *, dynamic: bool = False, dtype: Dtype = "float32") -> bytes:
    """The content of an ONNX file that restores images of a size (height, width).

    Input `degraded`, output `restored`, both `1 3 H W` float32 in [0, 1]: the output is clamped, as whoever makes an
    image of it wants; maps are left out. `dynamic`: for images of any size whose sides have more pixels than padding
    adds to them; the export takes several times longer. `dtype`: of the weights and of all between input and output.
    Raises RuntimeUnavailable.
    """
    if missing := missing_packages(NEEDED, "onnx"):
        raise RuntimeUnavailable(f"ONNX: {missing}")
    size = _padded(restorer, image) if dynamic else image
    try:
        return _exported(ImageNetwork(restorer, dtype).cpu(), size, dynamic=dynamic)
    except Exception as error:  # of torch, onnxscript or somebody's network
        raise RuntimeUnavailable(f"ONNX: this network cannot be exported: {reason(error)}") from error


def largest_difference(content: bytes, restorer: Restorer, image: tuple[int, int]) -> float:
    """Between what ONNX Runtime makes of a random image with this file, and torch with the network in float32.

    Images are in [0, 1]. Raises RuntimeUnavailable if ONNX Runtime is not installed or cannot read the file.
    """
    degraded = torch.rand(1, 3, *image, generator=torch.Generator().manual_seed(0))
    session = open_session(content, ["CPUExecutionProvider"])
    (restored,) = session.run([OUTPUT], {INPUT: degraded.numpy()})
    with torch.inference_mode():
        expected = ImageNetwork(restorer).cpu()(degraded)
    return (torch.from_numpy(restored) - expected).abs().max().item()


def open_session(content: bytes, providers: list[Any]) -> Any:
    """The file in ONNX Runtime, with as many threads as torch has. Raises RuntimeUnavailable."""
    if missing := missing_packages(["onnxruntime"], "onnx"):
        raise RuntimeUnavailable(f"ONNX Runtime: {missing}")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # its errors have no common class
        raise RuntimeUnavailable(f"ONNX Runtime: cannot read this network: {reason(error)}") from error


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


def _padded(restorer: Restorer, image: tuple[int, int]) -> tuple[int, int]:
    """A size near that of the image whose sides differ and need padding: of sizes as they come, the exporter would
    take for a rule of all images what holds for one, e.g. that height and width are equal."""
    backbone = restorer.backbone
    step = backbone.multiple_of
    height, width = (max(side, backbone.min_side) // step * step for side in image)
    return height + step + 1, (width if width != height else width + step) + 2 * step + 1


def _floor_division(dividend: Any, divisor: Any) -> Any:
    """Of whole numbers, downward: the exporter's own translation rounds toward zero, and padding divides negatives."""
    from onnxscript import opset18

    operations: Any = opset18  # typed for tensors alone, not for the whole numbers that sizes are
    return operations.Div(operations.Sub(dividend, operations.Mod(dividend, divisor)), divisor)


def _without_origins(model: Any) -> Any:
    """The model without notes on where its operations come from: half of the file, and paths on the exporting disk."""
    model.doc_string = _ABOUT
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
    for tensor in model.graph.initializer:
        tensor.ClearField("metadata_props")
    return model
