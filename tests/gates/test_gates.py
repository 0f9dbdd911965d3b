"""Costs are counted exactly; a gate says passed only for what was measured."""

import hashlib
import importlib.util
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backbones import Backbone
from benchmark.experiment.schema import ActivationsGate, LatencyGate, MacsGate, ParametersGate, SizeGate
from benchmark.gates.check_gates import check_gates
from benchmark.gates.cost import cost, macs, parameters
from benchmark.inference.device_setup import Machine
from benchmark.model import Restorer, build
from benchmark.model.restorer import fold
from benchmark.model.weight_files import write_weights
from heads.rgb import Rgb

HERE = Machine(torch.device("cpu"), "Some CPU 9000", 1, "default")


class OneConvolution(Backbone):
    """3 x 3, 3 to 8 channels: 224 parameters, 216 multiply-adds a pixel; waits before it answers."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.out_channels, self.seconds = 8, seconds
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return self.conv(image)


@pytest.fixture
def net() -> Restorer:
    return Restorer(OneConvolution(), Rgb(8))


def test_costs_equal_the_closed_form(net: Restorer) -> None:
    """8 * 27 + 8 and 3 * 72 + 3 parameters; 27 * 8 + 72 * 3 multiply-adds a pixel; four bytes a weight and a header."""
    found = cost(net)
    assert found.params == parameters(net) == 224 + 219
    assert found.macs == 256 * 256 * (216 + 216)
    assert macs(net, (10, 20)) == 200 * (216 + 216)
    assert 0 < found.weight_bytes["float32"] - 4 * found.params < 1000
    assert found.weight_bytes["float32"] - found.weight_bytes["float16"] == 2 * found.params


def test_what_is_counted_is_the_folded_network() -> None:
    """A chain of SPAN, 1x1, 3x3 and 1x1 beside 1x1 for training, counts as the one 3x3 convolution that is shipped."""
    net = build({"backbone": {"name": "span", "width": 8, "depth": 1, "expansion": 2}, "head": {"name": "rgb"}})
    trunk = (27 * 8 + 8) + 4 * (72 * 8 + 8) + (32 * 8 + 8)  # stem, block and end, 1x1 convolution
    by_hand = trunk + (72 * 3 + 3)
    count = cost(net)
    assert count.params == parameters(fold(net)) == by_hand < parameters(net) / 3
    assert count.macs == 256 * 256 * (27 * 8 + 4 * 72 * 8 + 32 * 8 + 72 * 3)
    gates = {"size": SizeGate(limit_bytes=10**9), "parameters": ParametersGate(limit=by_hand)}
    size, params = check_gates(gates, net, {}, HERE)
    assert size.measured == count.weight_bytes["float32"] < 4 * by_hand + 3000
    assert (params.measured, params.result) == (by_hand, "passed")


def test_counting_leaves_the_network_alone(net: Restorer) -> None:
    """The network keeps its weights, its device and its mode."""
    before = {key: value.clone() for key, value in net.train().state_dict().items()}
    cost(net)
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("gate", "at_limit"),
    [
        (lambda limit: ParametersGate(limit=limit), 443),
        (lambda limit: MacsGate(limit=limit, image=(10, 20)), 200 * 432),
    ],
)
def test_a_limit_may_be_reached_but_not_exceeded(net: Restorer, gate: object, at_limit: int) -> None:
    """At the limit a gate passes, one above the measured value fails."""
    assert callable(gate)
    results = check_gates({"at": gate(at_limit), "below": gate(at_limit - 1)}, net, {}, HERE)
    assert [(v.name, v.result, v.measured) for v in results] == [
        ("at", "passed", at_limit),
        ("below", "failed", at_limit),
    ]


def test_the_size_gate_weighs_the_exported_file(net: Restorer) -> None:
    """The dtype of the export decides; the result names it."""
    limit = cost(net).weight_bytes["float32"] - 1
    gates = {"a": SizeGate(limit_bytes=limit), "b": SizeGate(limit_bytes=limit, dtype="float16")}
    single, half = check_gates(gates, net, {}, HERE)
    assert (single.result, half.result) == ("failed", "passed")
    assert half.protocol["dtype"] == "float16"


def test_a_size_verdict_names_the_very_file(net: Restorer, tmp_path: Path) -> None:
    """Its hash is that of the file which an export writes; other weights, another hash."""
    write_weights(net, tmp_path / "net.safetensors")
    gates = {"size": SizeGate(limit_bytes=10**9)}
    (result,) = check_gates(gates, net, {}, HERE)
    written = (tmp_path / "net.safetensors").read_bytes()
    assert result.protocol["sha256"] == hashlib.sha256(written).hexdigest() and result.measured == len(written)
    (other,) = check_gates(gates, Restorer(OneConvolution(), Rgb(8)), {}, HERE)
    assert other.protocol["sha256"] != result.protocol["sha256"]


def test_the_onnx_file_is_weighed_where_it_can_be_written(net: Restorer) -> None:
    """It holds the same 443 weights of four bytes and a graph; where its writer is not installed nothing is claimed."""
    (result,) = check_gates({"onnx": SizeGate(limit_bytes=1, file="onnx")}, net, {}, HERE)
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxscript"):
        assert result.result == "failed" and result.measured is not None and 4 * 443 < result.measured < 100_000
    else:
        assert result.result == "not_measured" and "install" in result.protocol["reason"]


def test_activations_are_counted_for_the_image_of_the_gate(net: Restorer) -> None:
    """Eight channels of float32 at 100 x 100 pixels are alive at least, beside the image; more than four times, not."""
    (result,) = check_gates({"activations": ActivationsGate(limit_bytes=1, image=(100, 100))}, net, {}, HERE)
    features = 100 * 100 * 8 * 4
    assert result.result == "failed" and result.measured is not None and features < result.measured < 4 * features


def test_an_absent_device_is_not_measured(net: Restorer) -> None:
    """A V100 that is not there gives no number and no pass, and the reason names what is there."""
    result = check_gates({"latency": LatencyGate(limit_ms=1e9, device="V100", image=(16, 16))}, net, {}, HERE)[0]
    assert (result.result, result.measured) == ("not_measured", None)
    assert "Some CPU 9000" in result.protocol["reason"]


def test_the_quick_protocol_passes_far_below_the_limit(net: Restorer) -> None:
    """It says that there is room; on the machine at hand, and on the device named, in any case of letters."""
    for device in (None, "cpu 9000"):
        result = check_gates({"latency": LatencyGate(limit_ms=1e9, device=device, image=(16, 16))}, net, {}, HERE)[0]
        assert (result.result, result.protocol["has_room"]) == ("passed", True)
        assert result.measured is not None and result.measured > 0


def test_a_slow_network_fails_the_latency_gate() -> None:
    """20 ms of sleep in every call are in the median, in the lower quartile and in the network's own time."""
    net = Restorer(OneConvolution(seconds=0.02), Rgb(8))
    result = check_gates({"latency": LatencyGate(limit_ms=15, image=(16, 16))}, net, {}, HERE)[0]
    assert result.result == ("inconclusive" if result.protocol["unsteady"] else "failed")
    assert min(result.protocol[key] for key in ("median_ms", "net_median_ms", "p25_ms")) >= 20
