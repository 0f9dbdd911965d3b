"""A file in 8 bits: a quarter of the bytes, nearly the same image, on any processor."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.errors import RuntimeUnavailable, missing_packages
from benchmark.experiment.compression import Compression, Int8
from benchmark.inference.int8 import FileNetwork, int8_bytes, stand_in_images
from benchmark.inference.onnx import SMALLEST_SIDE, onnx_bytes
from benchmark.inference.onnx_runtimes import FILE_RUNTIMES, prepare_file
from benchmark.model import Restorer, restore_image
from benchmark.runner.compression import untrained_file

MISSING = missing_packages(("onnxruntime", "onnx", "onnxscript"), "onnx")
# Each export takes many seconds.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]
UNET: dict[str, Any] = {"name": "unet", "width": 16, "levels": 2}


@pytest.fixture(scope="module")
def unet(make_network: Callable[[dict[str, Any]], Restorer]) -> Restorer:
    return make_network(UNET).eval()


@pytest.fixture(scope="module")
def content(unet: Restorer) -> bytes:
    return int8_bytes(unet, stand_in_images())


def test_weights_of_the_backbone_take_a_byte_each(unet: Restorer, content: bytes) -> None:
    """Those of the head stay in float32, and the file says what the float file says."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_model_from_string(content)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    heads = [name for name in kinds if name.startswith("restorer.head.")]
    assert heads and all(kinds[name] == onnx.TensorProto.FLOAT for name in heads)
    assert all(kind == onnx.TensorProto.UINT8 for name, kind in kinds.items() if name not in heads)
    assert SMALLEST_SIDE in {entry.key for entry in model.metadata_props}
    assert len(content) < 0.45 * len(onnx_bytes(unet, (64, 64), dynamic=True))


def test_the_image_is_nearly_that_of_the_network(unet: Restorer, content: bytes) -> None:
    """At sizes other than that of the calibration; within a tenth of what the network changes in the image."""
    network = FileNetwork(content)
    for size in ((64, 64), (37, 53)):
        image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
        exact = restore_image(unet, image, torch.device("cpu")).astype(float)
        change, error = np.abs(exact - image).mean(), np.abs(network.restore(image) - exact).mean()
        assert change > 3 and error < 0.1 * change, (change, error)


def test_bytes_do_not_depend_on_the_calibration(unet: Restorer, content: bytes) -> None:
    """So an untrained network is weighed like the trained one; the ranges, and with them the content, differ."""
    other = int8_bytes(unet, [np.full((48, 64, 3), 99, np.uint8)])
    assert len(other) == len(content) and other != content


def test_an_untrained_network_is_weighed_as_a_trained_one(unet: Restorer) -> None:
    """Its biases are all zero and would be written once; training tells them apart."""
    trained = copy.deepcopy(unet)
    with torch.no_grad():
        for weights in trained.parameters():
            weights.add_(torch.rand(weights.shape, generator=torch.Generator().manual_seed(7)))
    weighed = untrained_file(unet, Compression(int8=Int8()))
    assert weighed is not None
    assert len(weighed) == pytest.approx(len(int8_bytes(trained, stand_in_images())), rel=1e-3)


def test_runtimes_of_files_agree(content: bytes) -> None:
    """ONNX Runtime and OpenVINO give the same image within two levels."""
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    if missing_packages(["openvino"], "openvino"):
        pytest.skip("openvino is not installed")
    first, second = (prepare_file(name, content, (64, 64)).restore(image).astype(int) for name in FILE_RUNTIMES)
    assert np.abs(first - second).mean() < 1


def test_too_small_images_are_no_calibration(unet: Restorer) -> None:
    """One line, no traceback."""
    with pytest.raises(RuntimeUnavailable, match="int8: this network cannot be quantised"):
        int8_bytes(unet, [np.zeros((1, 1, 3), np.uint8)])
