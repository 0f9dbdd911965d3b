"""int8: a network as an ONNX file whose backbone computes in 8 bits, with ranges that are calibrated on images.

Weights have a scale for each output channel, activations one for each tensor; both are unsigned, because processors
without VNNI saturate in products of signed with unsigned bytes, and a file must give the same image everywhere. The
head stays in float32: it has few weights, and its result is added to the image. What has no weights stays, too.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.inference.onnx import INPUT, onnx_bytes, smallest_side
from benchmark.inference.onnx_runtimes import RUNTIME_PACKAGES, open_session, run_session
from benchmark.inference.pixels import UnitImage
from benchmark.model import Restorer
from benchmark.model.build import record_folder
from benchmark.model.restorer import fold

FILE = "network.onnx"
"""Name of the file in the folder of a row, beside its weights in float32."""
_EXPORT_SIZE = (64, 64)
_LARGEST_PX = 512
"""Of larger images the centre is taken: all activations of an image are kept at once."""
_OPERATORS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_HEAD = "restorer.head."
_PREPROCESSED = {"onnx.quant.pre_process": "onnxruntime.quant"}
"""Metadata by which ONNX Runtime does not advise to run its own preparation: the exporter has optimised the file."""


def int8_bytes(restorer: Restorer, images: Iterable[NDArray[np.uint8]]) -> bytes:
    """Return the content of an ONNX file, for images of any size, whose backbone computes in 8 bits.

    Input, output and smallest side are those of `onnx_bytes`. The network is folded first and stays as it is.

    Args:
        restorer: The network.
        images: `H W 3`, what the network will restore; the ranges are the smallest and the largest values on them.

    Raises:
        RuntimeUnavailable: A package is missing, or the network cannot be exported or quantised.
    """
    if missing := missing_packages(RUNTIME_PACKAGES, "onnx"):
        raise RuntimeUnavailable(f"int8: {missing}")
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    folded = fold(restorer).cpu()
    model = onnx.load_model_from_string(onnx_bytes(folded, _EXPORT_SIZE, dynamic=True))
    facts = {entry.key: entry.value for entry in model.metadata_props}
    description = model.doc_string
    calibration: Any = _Calibration(
        images, smallest_side(folded)
    )  # ONNX Runtime asks for the method alone, not the class
    onnx.helper.set_model_props(model, facts | _PREPROCESSED)
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / FILE
            quantize_static(
                model,
                file,
                calibration,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_OPERATORS),
                nodes_to_exclude=_float_nodes(model.graph),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"WeightSymmetric": True},
            )
            quantised = onnx.load_model_from_string(file.read_bytes())
    except Exception as error:  # of ONNX Runtime, whose errors have no common class
        raise RuntimeUnavailable(f"int8: this network cannot be quantised: {root_cause(error)}") from error
    onnx.helper.set_model_props(quantised, facts)
    quantised.doc_string = description
    quantised.graph.ClearField("value_info")
    return quantised.SerializeToString(deterministic=True)


def stand_in_images() -> list[NDArray[np.uint8]]:
    """Return noise to calibrate a network that is not trained: bytes and time of a file do not depend on its ranges."""
    return [np.random.default_rng(0).integers(0, 256, (*_EXPORT_SIZE, 3), np.uint8)]


class FileNetwork(nn.Module):
    """A file as a network of torch on the CPU: from `1 3 H W` in [0, 1] to the restored image, likewise."""

    def __init__(self, content: bytes) -> None:
        """Open the file in ONNX Runtime."""
        super().__init__()
        self._session = open_session(content, ["CPUExecutionProvider"])

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image."""
        return torch.from_numpy(run_session(self._session, degraded.cpu().numpy()))

    def restore(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the restored image of a degraded one, both `H W 3` uint8."""
        restored = self(torch.from_numpy(_unit(image)))
        return restored[0].mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()

    def restore_unit(self, image: UnitImage) -> UnitImage:
        """Return the restored image of a degraded one, both `H W 3` in [0, 1]."""
        restored = run_session(self._session, np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        return np.ascontiguousarray(restored[0].transpose(1, 2, 0))


def shipped_file(record: Path) -> FileNetwork | None:
    """Return the file in 8 bits that a trained row was scored with; None where it was scored with its weights.

    Args:
        record: Folder of the row or of one of its seeds, or a file of weights.

    Raises:
        RecordError: The folder has no finished row.
        RuntimeUnavailable: ONNX Runtime is not installed.
    """
    file = record_folder(record) / FILE if record.is_dir() else None
    return FileNetwork(file.read_bytes()) if file and file.is_file() else None


class _Calibration:
    """What ONNX Runtime reads images from: one at a time, by the name of the input, None at the end."""

    def __init__(self, images: Iterable[NDArray[np.uint8]], least: int) -> None:
        self._images: Iterator[NDArray[np.uint8]] = (
            _centre(image) for image in images if min(image.shape[:2]) >= least
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(({INPUT: _unit(image)} for image in self._images), None)


def _centre(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(side - _LARGEST_PX, 0) // 2 for side in image.shape[:2])
    return image[top : top + _LARGEST_PX, left : left + _LARGEST_PX]


def _unit(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _float_nodes(graph: Any) -> list[str]:
    """Return the names of the nodes that stay in float32: products of two activations, and the layers of the head."""
    weights = {tensor.name for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in _OPERATORS]
    return [
        node.name for node in nodes if not any(name in weights and not name.startswith(_HEAD) for name in node.input)
    ]
