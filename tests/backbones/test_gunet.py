"""gUNet: equal to the authors' code, to its published cost, and every option does something."""

import copy
import math

import pytest
import torch
from torch import nn

from backbones.gunet import GUNet

SMALL = {"width": 8, "depths": (1, 1, 1, 1, 1)}
ABLATION = {**SMALL, "kernel_size": 3, "norm": "layer", "gate": "hard_sigmoid", "fusion": "concatenation"}


def output_convolution(backbone):
    """Return the last convolution of the published network."""
    return nn.Conv2d(backbone.out_channels, 3, 3, padding=1, padding_mode="reflect")


@pytest.mark.parametrize(
    ("case", "options", "suffixes"),
    [
        ("gunet_b8_7stage", {"width": 8, "depths": (1, 1, 1, 2, 1, 1, 1)}, ("", "_odd")),
        ("gunet_ablation_ln_hsig_cat", ABLATION, ("",)),
        (
            "gunet_ablation_nogate_gelu_cat",
            {"width": 12, "depths": (1, 2, 1), "gate": "none", "fusion": "concatenation"},
            ("", "_odd"),
        ),
        (
            "gunet_ablation_nogate_relu_sk",
            {"width": 8, "depths": (2, 1, 1, 1, 2), "gate": "none_relu"},
            ("",),
        ),
        ("full/gunet_t", GUNet.sizes["t"], ("",)),
        ("full/gunet_s", GUNet.sizes["s"], ("",)),
    ],
)
def test_gunet_gives_the_authors_output(load_golden, with_published_weights, case, options, suffixes):
    """With the authors' weights from a file, the restorer gives the authors' output, at odd sides too."""
    golden = load_golden(case)
    restore = with_published_weights("gunet", options, golden)
    for suffix in suffixes:
        restored = restore(golden.tensors[f"input{suffix}"])
        torch.testing.assert_close(restored, golden.tensors[f"output{suffix}"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "parameters", "giga_macs"),
    [
        ("t", 844_899, 2.76),
        ("s", 1_477_059, 4.86),
        pytest.param("b", 2_741_379, 9.08, marks=pytest.mark.slow),
        pytest.param("d", 5_270_019, 17.51, marks=pytest.mark.slow),
    ],
)
def test_gunet_published_sizes_have_the_published_cost(count_macs, size, parameters, giga_macs):
    """Parameters and MACs of the published sizes, output convolution included, are those of the authors' code."""
    with torch.device("meta"):
        backbone = GUNet(**GUNet.sizes[size])
        network = nn.Sequential(backbone, output_convolution(backbone))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change",
    [
        {"width": 16},
        {"depths": (1, 2, 1, 1, 1)},
        {"depths": (1, 1, 1)},
        {"max_width": 16},
        {"input_scales": 2},
        {"input_scales": 3},
        {"fusion": "concatenation"},
        {"fusion": "sum"},
        {"gate": "hard_sigmoid"},
        {"gate": "tanh"},
        {"gate": "identity"},
        {"gate": "none"},
        {"norm": "layer"},
        {"kernel_size": 3},
        {"padding": "zeros"},
    ],
    ids=str,
)
def test_every_gunet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(GUNet(**SMALL), GUNet(**{**SMALL, **change}))


def test_the_activation_of_blocks_without_gate_changes_them(differ):
    """With equal weights, GELU and ReLU give other features."""
    assert differ(GUNet(**SMALL, gate="none"), GUNet(**SMALL, gate="none_relu"))


@pytest.mark.parametrize("scale", [2, 3])
def test_gunet_input_scale_sees_the_area_average(differ_at, scale):
    """The smallest scale is blind to stripes as wide as half its pixel, which average to zero, not to even grey."""
    backbone = GUNet(**SMALL, input_scales=scale)
    blind = copy.deepcopy(backbone)
    nn.init.zeros_(blind.scale_stems[-1].weight)
    stripes = torch.ones(1, 3, 32, 32)
    half = 2 ** (scale - 2)
    for column in range(0, 32, 2 * half):
        stripes[..., column : column + half] = -1
    assert not differ_at(backbone, blind, stripes)
    assert differ_at(backbone, blind, torch.full_like(stripes, 0.25))


def test_gunet_max_width_caps_every_level():
    """No convolution but the one before pixel shuffle makes more channels than max_width."""
    backbone = GUNet(width=8, depths=(1,) * 9, max_width=24)
    assert [down.out_channels for down in backbone.downs] == [16, 24, 24, 24]


def test_gunet_selective_kernel_equals_the_softmax_form():
    """The interpolation equals a softmax over the stacked logits that weighs both inputs."""
    torch.manual_seed(0)
    fusion = GUNet(**SMALL).fusions[1]
    features, skipped = torch.randn(2, 2, 16, 6, 5)
    pooled = (features + skipped).mean((2, 3), keepdim=True)
    logits = fusion.select(fusion.squeeze(pooled).relu()).unflatten(1, (2, 16))
    weights = logits.softmax(dim=1)
    torch.testing.assert_close(fusion(features, skipped), weights[:, 0] * features + weights[:, 1] * skipped)


def test_gunet_blocks_start_as_published():
    """Block convolutions start with deviation (8 N)^(-1/4) sqrt(2 / (fan in + fan out)) and bias zero."""
    torch.manual_seed(0)
    block = GUNet(width=64, depths=(2, 2, 2)).stages[0][0]
    gain = (8 * 6) ** -0.25
    assert block.value.weight.std().item() == pytest.approx(gain * math.sqrt(2 / 128), rel=0.05)
    assert block.depthwise.weight.std().item() == pytest.approx(gain * math.sqrt(2 / (25 + 25 * 64)), rel=0.1)
    assert not block.value.bias.any()
    assert not block.gate[0].bias.any()


def test_gunet_min_side_is_the_smallest():
    """One step below min_side, the reflection asks for more pixels than there are."""
    backbone = GUNet(**GUNet.sizes["t"]).eval()
    side = backbone.min_side - backbone.multiple_of
    with pytest.raises(RuntimeError, match="Padding size"):
        backbone(torch.zeros(1, 3, side, side))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0; it must be above 0"),
        ({"depths": (1, 1)}, r"depths is \[1, 1\]; it must hold an odd number"),
        ({"depths": ()}, "odd number"),
        ({"depths": (1, 0, 1)}, "at least 1"),
        ({"width": 24, "max_width": 16}, r"max_width is 16; it must be at least width \(24\)"),
        ({"input_scales": 4}, "input_scales is 4; depths allow 1 to 3"),
        ({"input_scales": 0}, "input_scales is 0"),
        ({"depths": (1, 1, 1), "input_scales": 3}, "depths allow 1 to 2"),
        ({"kernel_size": 4}, "kernel_size is 4; it must be odd"),
    ],
)
def test_gunet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        GUNet(**options)
