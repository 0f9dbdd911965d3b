"""The range of seconds that a network would take on a GPU by its data sheet."""

import pytest
from torch import Tensor, nn

from backbones import Backbone
from benchmark.errors import BenchmarkError
from benchmark.gates.cost import macs
from benchmark.gates.roofline import GPUS, Operator, find_gpu, operators, time_range
from benchmark.model import Restorer
from heads.residual import Residual


class Convolution(Backbone):
    citation = origin = "a test"

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 4
        self.layer = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image)


def test_operations_are_those_that_gates_count() -> None:
    """Two for each multiply-add; backward costs about twice the forward pass, less the gradient of the image."""
    restorer = Restorer(Convolution(), Residual(4))
    forward = operators(restorer, (1, 3, 64, 64), training=False)
    assert sum(operator.flops for operator in forward) == 2 * macs(restorer, (64, 64))
    training = operators(restorer, (1, 3, 64, 64), training=True)
    share = sum(operator.flops for operator in training) / sum(operator.flops for operator in forward)
    assert 2 < share <= 3
    assert sum(operator.launches for operator in training) > sum(operator.launches for operator in forward) > 0


def test_the_range_begins_at_the_peaks_of_the_data_sheet() -> None:
    """A large product is bound by the rate, small ones by their launches; half precision is no slower."""
    gpu = GPUS["V100"]
    large = time_range([Operator("mm", 10**15, 10**9, 1)], gpu, half=False)
    assert large.low == pytest.approx(10**15 / 15.7e12) and large.high > large.low
    small = time_range([Operator("mm", 10**3, 10**3, 1000)], gpu, half=False)
    assert small.low < 1e-6 and small.high > 1e-3
    assert time_range([Operator("mm", 10**15, 10**9, 1)], gpu, half=True).low < large.low


def test_names_of_devices_are_read_as_people_write_them() -> None:
    """And an unknown one is named with what is known."""
    assert find_gpu("rtx 4090") is GPUS["RTX4090"]
    with pytest.raises(BenchmarkError, match=r"--for P100: no data sheet .* there are those of H200, H100, A100"):
        find_gpu("P100")
