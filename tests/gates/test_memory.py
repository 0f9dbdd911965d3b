"""Memory is counted before it is used, and the count is near what is used."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backbones import Backbone
from benchmark.experiment.schema import GpuMemoryGate, RamGate
from benchmark.gates.check_gates import check_gates
from benchmark.gates.cost import activation_bytes, training_bytes
from benchmark.inference.device_setup import Machine
from benchmark.model import Restorer
from heads.rgb import Rgb

CPU = torch.device("cpu")
HERE = Machine(CPU, "Some CPU 9000", 1, "default")


class Wide(Backbone):
    """Three pointwise convolutions of 32 channels with ReLUs between them."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 32
        layers = [nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, 32, 1)]
        self.body = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)


@pytest.fixture
def net() -> Restorer:
    return Restorer(Wide(), Rgb(32, kernel_size=1))


def test_inference_holds_two_maps_at_a_time(net: Restorer) -> None:
    """A layer's input and output are alive together, nothing else: 2 maps of 32 channels, and an image."""
    pixels = 40 * 24
    found = activation_bytes(net, (1, 3, 40, 24), training=False)
    assert 2 * 32 * 4 * pixels <= found <= (2 * 32 + 2 * 3) * 4 * pixels


def test_training_keeps_every_map(net: Restorer) -> None:
    """What backward needs stays: at least five maps, in proportion to batch and area, and four times the weights."""
    shape = (2, 3, 40, 24)
    found = activation_bytes(net, shape, training=True)
    assert found >= 5 * 32 * 4 * 2 * 40 * 24 > activation_bytes(net, shape, training=False)
    weights = sum(parameter.numel() for parameter in net.parameters())
    small, large = (training_bytes(net, batch, 64) for batch in (1, 4))
    assert large - 16 * weights == pytest.approx(4 * (small - 16 * weights), rel=0.01)


def test_counting_leaves_the_network_alone(net: Restorer) -> None:
    """Weights, mode and gradients stay as they are, even for a batch no machine could hold."""
    assert training_bytes(net.eval(), 10**6, 512) > 10**14
    assert not net.training
    assert all(parameter.grad is None and not parameter.is_meta for parameter in net.parameters())


STEP = """
import torch
from torch import Tensor, nn

from backbones import Backbone
from benchmark.gates.cost import activation_bytes, peak_memory_bytes, reset_peak_memory
from benchmark.model import Restorer
from heads.rgb import Rgb

{network}

net, cpu = Restorer(Wide(), Rgb(32, kernel_size=1)), torch.device("cpu")
counted = activation_bytes(net, (8, 3, 256, 256), training=True)
reset_peak_memory(cpu)
before = peak_memory_bytes(cpu)
net.train()(torch.rand(8, 3, 256, 256)).image.mean().backward()
print(counted, peak_memory_bytes(cpu) - before)
"""


@pytest.mark.slow
def test_the_count_is_what_a_step_uses(root: Path) -> None:
    """Resident memory rises by what was counted, give or take half of it for the scratch space of kernels.

    In a fresh process: one that has run other networks has free memory in pieces, and needs more.
    """
    code = STEP.format(network=inspect.getsource(Wide))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    counted, used = map(int, run.stdout.split())
    assert counted > 300e6
    assert 0.7 * counted < used < 1.5 * counted


def test_the_ram_gate_weighs_the_process(net: Restorer) -> None:
    """A process with torch in it needs more than 10 MB and less than 100 GB; the result says what was measured."""
    low, high = check_gates(
        {
            "low": RamGate(limit_bytes=10_000_000, image=(64, 64)),
            "high": RamGate(limit_bytes=100_000_000_000, image=(64, 64)),
        },
        net.train(),
        {},
        HERE,
    )
    assert (low.result, high.result) == ("failed", "passed")
    assert low.measured is not None and low.measured > 50e6
    assert low.protocol["of"].startswith("this process")
    assert net.training


def test_gpu_memory_is_not_measured_without_a_gpu(net: Restorer) -> None:
    """Whatever the limit, and whether or not a GPU is named: no number, no pass, and a reason."""
    for device in (None, "V100"):
        result = check_gates({"gpu_memory": GpuMemoryGate(limit_bytes=10**15, device=device)}, net, {}, HERE)[0]
        assert (result.result, result.measured) == ("not_measured", None)
        assert f"no {device or 'GPU'} here" in result.protocol["reason"]
