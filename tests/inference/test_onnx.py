"""ONNX files restore as torch does, and tell nothing of where they were made."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.errors import RuntimeUnavailable, missing_packages
from benchmark.inference.onnx import onnx_bytes
from benchmark.model import Restorer, build, restore_image
from benchmark.registry import Registry

MISSING = missing_packages(("onnxruntime", "onnx", "onnxscript"), "onnx")
needs_onnx = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


def run(content: bytes, degraded: torch.Tensor) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["restored"], {"degraded": degraded.numpy()})[0])


def check(content: bytes, network: Restorer, sides: tuple[int, int], tolerance: float = 1e-5) -> None:
    degraded = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.eval()(degraded).image
    assert (expected - degraded).abs().max() > 0.1
    torch.testing.assert_close(run(content, degraded), expected.clamp(0, 1), rtol=0, atol=tolerance)


@needs_onnx
def test_a_file_for_one_size(network: Restorer, capfd: pytest.CaptureFixture[str]) -> None:
    """The output is the clamped image; the file is little larger than its weights, and making it prints nothing."""
    content = onnx_bytes(network.train(), (37, 53))
    assert network.training
    assert capfd.readouterr() == ("", "")
    check(content, network, (37, 53))
    weight_bytes = sum(4 * parameter.numel() for parameter in network.parameters())
    assert len(content) < 1.2 * weight_bytes + 40_000
    assert not re.search(rb"\.py|site-packages|/home|/work", content)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        run(content, torch.zeros(1, 3, 64, 64))


@needs_onnx
def test_values_outside_the_range_are_clamped() -> None:
    """A network that doubles gives no more than 1."""
    network = build({"backbone": {"name": "nafnet", "width": 4, "depths": [1]}, "head": {"name": "rgb"}})
    for parameter in network.head.parameters():
        parameter.data.fill_(5)
    assert run(onnx_bytes(network, (8, 8)), torch.rand(1, 3, 8, 8)).max() == 1


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", ["gunet", "nafnet", "restormer_lite"])  # every one takes half a minute
def test_a_file_for_any_size(name: str, make_network: Callable[[dict[str, Any]], Restorer]) -> None:
    """Sides that fit and sides that need padding, wide and high, whatever size it was exported at."""
    network = make_network({"name": name, **Registry().find("backbone", name).sizes["tiny"]})
    content = onnx_bytes(network, (64, 64), dynamic=True)
    for sides in ((64, 64), (75, 61), (61, 128), (129, 97)):
        check(content, network, sides)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_file_for_any_size_of_uint8_images(network: Restorer, dtype: Any) -> None:
    """Channels last in and out, axes with names, padding in the file, the values of torch within a level or four."""
    onnxruntime = pytest.importorskip("onnxruntime")
    content = onnx_bytes(network, (64, 64), dynamic=True, dtype=dtype, in_levels=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for value in (*session.get_inputs(), *session.get_outputs()):
        assert (value.shape, value.type) == ([1, "height", "width", 3], "tensor(uint8)")
    for sides in ((64, 64), (75, 61), (61, 128)):
        image = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
        (restored,) = session.run(None, {"degraded": image[None]})
        expected = restore_image(network.eval(), image, torch.device("cpu"))
        assert np.abs(restored[0].astype(int) - expected).max() <= (1 if dtype == "float32" else 4)


@needs_onnx
@pytest.mark.slow
def test_a_file_in_half_precision(network: Restorer) -> None:
    """Half the weights' bytes, float32 at both ends, near the float32 network."""
    content = onnx_bytes(network, (37, 53), dtype="float16")
    check(content, network, (37, 53), tolerance=0.01)


@needs_onnx
@pytest.mark.slow
def test_a_network_that_cannot_be_exported(network: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is told in one line."""

    def forward(features: Any, degraded: Any) -> Any:
        raise NotImplementedError("no such operator\nand much more")

    monkeypatch.setattr(network.head, "forward", forward)
    with pytest.raises(RuntimeUnavailable, match=r"this network cannot be exported: no such operator$"):
        onnx_bytes(network, (8, 8))
