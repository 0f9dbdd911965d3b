"""ONNX: write a network as a file; `onnx_runtimes` runs it."""

import operator
import re
from typing import Any

import torch

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.inference.prepared_network import ImageNetwork, LevelsNetwork
from benchmark.model import Restorer
from reports.schema import Dtype

INPUT, OUTPUT = "degraded", "restored"
SMALLEST_SIDE = "smallest_side"
"""Key of the file's metadata."""
WRITER_PACKAGES = ("onnx", "onnxscript")
_DESCRIPTION = (
    "degraded: RGB image 1 3 H W, float32 in [0, 1]; restored: the restored image, likewise, clamped to [0, 1]"
)
TRANSFORM = "DFT"
_LEVELS_DESCRIPTION = "degraded: RGB image 1 H W 3, uint8; restored: the restored image, likewise"
_AXES = ("height", "width")
"""Names of the axes that are free in a file for any size."""


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
    if any(node.op_type == TRANSFORM for node in graph.node):
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
