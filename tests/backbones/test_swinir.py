"""SwinIR: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch

from backbones.swinir import SwinIR
from benchmark.model import build

SMALL = {"width": 8, "depths": (2, 1), "heads": (2, 1), "window": 4}


@pytest.fixture
def backbone(randomise):
    torch.manual_seed(0)
    network = SwinIR(**SMALL)
    randomise(network)
    return network


@pytest.mark.parametrize("case", ["", "_odd"])
def test_swinir_gives_the_authors_output(load_golden, with_published_weights, case):
    """With the authors' weights from a file, also of a size that windows do not divide."""
    golden = load_golden("swinir_light_e12_w8")
    restore = with_published_weights("swinir", {"width": 12, "depths": (2, 2), "heads": (2, 3)}, golden)
    restored = restore(golden.tensors[f"input{case}"])
    torch.testing.assert_close(restored, golden.tensors[f"output{case}"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "millions", "giga"),
    [("light", 0.905, 68.21), pytest.param("denoise", 11.504, 800.30, marks=pytest.mark.slow)],
)
def test_swinir_costs_what_is_published(count_macs, size, millions, giga):
    """Parameters and multiply-adds at 256 px of the whole restorer, attention products included."""
    head = {"name": "residual", "padding": "zeros"}
    network = build({"backbone": {"name": "swinir", **SwinIR.sizes[size]}, "head": head})
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)
    assert count_macs(network, 256) / 1e9 == pytest.approx(giga, abs=5e-3)


def test_only_weights_are_stored(backbone):
    """Masks, indices and the mean are computed, not weighed: they would be four fifths of the light network's file."""
    assert backbone.state_dict().keys() == dict(backbone.named_parameters()).keys()


def test_windows_see_each_other_only_where_they_shift(backbone):
    """Without shifted blocks a pixel acts on its own window and what the 3x3 convolutions reach; with them beyond."""
    unshifted = SwinIR(8, (1, 1), (2, 1), 4).eval()
    shifted = SwinIR(8, (2, 2), (2, 1), 4).eval()
    reach = []
    for network in (unshifted, shifted):
        image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0), requires_grad=True)
        network(image)[0, :, 24, 24].sum().backward()
        assert image.grad is not None
        rows = image.grad.abs().sum((0, 1, 3)).nonzero()
        reach.append(int(rows.max() - rows.min()))
    assert reach[0] < reach[1]


@pytest.mark.parametrize(
    "option",
    [{"width": 12}, {"depths": (2, 2)}, {"heads": (4, 1)}, {"window": 8}, {"expansion": 3}],
    ids=str,
)
def test_every_option_does_something(differ, option):
    """Another number of parameters, or another output with the same ones."""
    assert differ(SwinIR(**SMALL), SwinIR(**{**SMALL, **option}))


@pytest.mark.parametrize(
    "options",
    [{"width": 0}, {"heads": (3, 1)}, {"depths": (2,)}, {"window": 5}, {"depths": (), "heads": ()}, {"depths": (0, 1)}],
    ids=str,
)
def test_impossible_options_are_told(options):
    """With the name of the backbone and of the option."""
    with pytest.raises(ValueError, match=r"^swinir: "):
        SwinIR(**{**SMALL, **options})


def test_gradients_reach_every_parameter(backbone):
    """Also the bias per offset between two pixels, of every offset."""
    backbone(torch.rand(2, 3, 8, 12)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in backbone.parameters())


def test_small_keeps_within_ten_megabytes(weight_bytes):
    """With a 3x3 head to six channels, as float32."""
    assert weight_bytes(SwinIR(**SwinIR.sizes["small"])) < 10_000_000
