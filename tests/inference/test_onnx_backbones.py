"""Every backbone goes into an ONNX file for images of any size, in full and in half precision."""

import json

import pytest
import torch

from benchmark.errors import missing_packages
from benchmark.inference.onnx import SMALLEST_SIDE, onnx_bytes, smallest_side
from benchmark.inference.onnx_runtimes import largest_difference
from benchmark.model import Restorer, build
from benchmark.model.restorer import fold
from benchmark.registry import Registry
from reports.schema import Dtype

MISSING = missing_packages(("onnxruntime", "onnx", "onnxscript"), "onnx")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.torture,  # a quarter of an hour
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]
BACKBONES = Registry().names("backbone")
TOLERANCE: dict[Dtype, float] = {"float32": 1e-3, "float16": 4 / 255}
"""Those of `export`, below half a level of 8 bits and four levels; float32 is stricter here."""


def random_network(backbone: str) -> Restorer:
    """Its size `tiny` with random weights everywhere: blocks and heads of fresh networks begin as doing nothing."""
    sizes = Registry().find("backbone", backbone).sizes
    model = {"backbone": {"name": backbone, **json.loads(json.dumps(sizes["tiny"]))}, "head": {"name": "residual"}}
    restorer = build(model).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return fold(restorer)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_file_for_any_size_restores_as_torch_does(backbone: str, dtype: Dtype) -> None:
    """From the smallest side that its metadata name to sides that need padding in both directions."""
    onnx = pytest.importorskip("onnx")
    network = random_network(backbone)
    least = smallest_side(network)
    content = onnx_bytes(network, (64, 64), dynamic=True, dtype=dtype)
    metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    assert metadata[SMALLEST_SIDE] == str(least)
    for sides in ((least, least + 3), (2 * least + 1, least), (61, 83)):
        if min(sides) >= least:
            assert largest_difference(content, network, sides) <= TOLERANCE[dtype], sides


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_file_for_one_size_takes_the_smallest_images(backbone: str) -> None:
    """Below the smallest side of a file for any size, too: there padding is repeated when the file is made."""
    network = random_network(backbone)
    assert largest_difference(onnx_bytes(network, (1, 2)), network, (1, 2)) <= TOLERANCE["float32"]
