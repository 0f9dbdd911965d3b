"""U-Net: as large as the paper says, its normalisation folds away exactly, and every option does something."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from backbones._layers import ConvNorm
from backbones.unet import UNet

SMALL = {"width": 8, "levels": 2}


def paper_parameters(channels):
    """Weights and biases of the paper's figure 1 for an RGB image, without the output convolution."""
    encoder = sum(9 * (a * b + b * b) + 2 * b for a, b in pairwise([3, *channels]))
    ups = sum(4 * a * b + a for a, b in pairwise(channels))
    decoder = sum(9 * (2 * a * a + a * a) + 2 * a for a in channels[:-1])
    return encoder + ups + decoder


def test_unet_large_has_the_papers_parameters():
    """Size large, five resolutions of 64 to 1024 channels, has the parameters counted from the paper's figure."""
    with torch.device("meta"):
        backbone = UNet(**UNet.sizes["large"])
    count = sum(p.numel() for p in backbone.parameters())
    assert count == paper_parameters([64, 128, 256, 512, 1024]) == 31_031_680


@pytest.mark.parametrize(("size", "parameters", "giga_macs"), [("small", 2_073_408, 9.09), ("tiny", 71_232, 0.89)])
def test_unet_sizes_of_ours_cost_what_is_told(count_macs, size, parameters, giga_macs):
    """Parameters, and MACs for 256 x 256 pixels, of the sizes made for the size gate and for tests."""
    with torch.device("meta"):
        backbone = UNet(**UNet.sizes[size])
    assert sum(p.numel() for p in backbone.parameters()) == parameters
    assert round(count_macs(backbone, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change",
    [
        {"width": 16},
        {"levels": 3},
        {"max_width": 16},
        {"norm": "batch"},
        {"activation": "leaky_relu"},
        {"activation": "gelu"},
        {"down": "conv"},
        {"up": "bilinear"},
    ],
    ids=str,
)
def test_every_unet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(UNet(**SMALL), UNet(**{**SMALL, **change}))


def test_unet_transposed_convolution_is_pixel_shuffle():
    """As the docstring says: a 1x1 convolution to four times the channels and pixel shuffle give the same."""
    up = UNet(**SMALL).ups[0]
    features = torch.randn(2, 16, 5, 4)
    shuffled = nn.functional.pixel_shuffle(
        nn.functional.conv2d(features, up.weight.permute(1, 2, 3, 0).reshape(32, 16, 1, 1)), 2
    )
    torch.testing.assert_close(up(features), shuffled + up.bias[:, None, None])


def test_unet_enlarges_in_either_order():
    """A 1x1 convolution before bilinear interpolation gives what it gives behind it, at a quarter of the cost."""
    up = UNet(**SMALL, up="bilinear").ups[0]
    features = torch.randn(2, 16, 5, 4)
    torch.testing.assert_close(up(features), up[0](up[1](features)))


@pytest.mark.parametrize("levels", [1, 3])
def test_unet_sees_as_far_as_its_levels_reach(levels):
    """A pixel acts on the features far away only through the coarse levels, and on its surroundings always."""
    torch.manual_seed(0)
    backbone = UNet(width=8, levels=levels, activation="gelu").eval()
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    backbone(image)[..., 32, 32].sum().backward()
    reached = image.grad.abs().sum((0, 1)) > 0
    assert reached[30:35, 30:35].all()
    assert reached[:, 10].any() == (levels == 3)


@pytest.mark.parametrize("options", [{}, {"up": "bilinear", "down": "conv", "activation": "leaky_relu"}], ids=str)
def test_folded_unet_computes_the_same(randomise, options):
    """With trained statistics every convolution folds; no normalisation is left and the features are the same."""
    torch.manual_seed(0)
    backbone = UNet(**SMALL, norm="batch", **options)
    randomise(backbone)
    with torch.no_grad():
        backbone(3 * torch.rand(4, 3, 32, 32) - 1)
    backbone.eval()
    image = torch.rand(1, 3, 32, 48)
    expected = backbone(image)
    for name, module in list(backbone.named_modules()):
        if isinstance(module, ConvNorm):
            backbone.set_submodule(name, module.folded())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert (backbone(image) - expected).norm() < 1e-5 * expected.norm()


def test_unet_min_side_is_the_smallest():
    """One step below min_side, training has no batch statistics at the coarsest level."""
    backbone = UNet(**SMALL, norm="batch")
    side = backbone.min_side - backbone.multiple_of
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        backbone(torch.zeros(1, 3, side, side))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "unet: width is 0; it must be above 0"),
        ({"levels": 0}, "unet: levels is 0; it must be above 0"),
        ({"width": 24, "max_width": 16}, r"max_width is 16; it must be at least width \(24\)"),
    ],
)
def test_unet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        UNet(**options)
