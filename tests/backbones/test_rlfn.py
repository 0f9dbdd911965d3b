"""RLFN: equal to the authors' code, to the cost of its published trunks, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.rlfn import RLFN

SMALL = {"width": 6, "depth": 2, "attention_width": 4}


def attention(layer, features):
    """Enhanced spatial attention: unpadded stride 2, maxima over 7 in steps of 3, back to full size by bilinear."""
    squeezed = layer.squeeze(features)
    halved = F.conv2d(squeezed, layer.down.weight, layer.down.bias, stride=2, padding=0)
    maxima = halved.unfold(2, 7, 3).unfold(3, 7, 3).amax((-2, -1))
    coarse = F.conv2d(maxima, layer.inner.weight, layer.inner.bias, padding=1)
    spread = F.interpolate(coarse, features.shape[2:], mode="bilinear")
    return features * torch.sigmoid(layer.excite(spread + layer.past(squeezed)))


def block(layer, features):
    """Three convolutions with leaky ReLU 0.05, the identity, a 1x1 convolution, the attention."""
    inner = features
    for conv in layer.convs:
        inner = F.conv2d(inner, conv.weight, conv.bias, padding=1)
        inner = torch.where(inner > 0, inner, 0.05 * inner)
    return attention(layer.attention, layer.project(inner + features))


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = RLFN(**SMALL)
    randomise(network)
    return network


def test_rlfn_gives_the_authors_output(load_golden, with_published_weights):
    """With the authors' weights from a file, the restorer gives the authors' output at upscale 1."""
    golden = load_golden("rlfn_f12_x1")
    restored = with_published_weights("rlfn", {"width": 12}, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("sides", [(32, 40), (17, 23)])
def test_rlfn_equals_its_equations(backbone, sides):
    """Stem, blocks with their attention, last convolution and the long skip, written out; odd sides too."""
    image = torch.rand(2, 3, *sides)
    first = backbone.stem(image)
    deep = first
    for layer in backbone.blocks:
        deep = block(layer, deep)
    torch.testing.assert_close(backbone(image), first + backbone.end(deep), rtol=1e-5, atol=1e-5)


def test_rlfn_has_the_published_cost(count_macs):
    """With the last convolution of the authors' network at x4 the cost is theirs, 0.544 M and 33.93 GMACs at 256 px."""
    with torch.device("meta"):
        network = nn.Sequential(RLFN(**RLFN.sizes["rlfn"]), nn.Conv2d(52, 3 * 4**2, 3, padding=1))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == 0.544
    assert round(count_macs(network, 256) / 1e9, 2) == 33.93


@pytest.mark.parametrize("size", ["rlfn_s", "small", "tiny"])
def test_rlfn_costs_what_its_convolutions_do(count_macs, size):
    """The multiply-adds at 256 px, counted by hand: the attention's inner layers work at 127 and at 41 px."""
    with torch.device("meta"):
        backbone = RLFN(**RLFN.sizes[size])
    width, depth, hidden = backbone.out_channels, len(backbone.blocks), 16
    in_full = 3 * 9 * width**2 + width**2 + 2 * hidden * width + hidden**2
    in_block = 256**2 * in_full + (127**2 + 41**2) * 9 * hidden**2
    assert count_macs(backbone, 256) == 256**2 * (27 * width + 9 * width**2) + depth * in_block


@pytest.mark.parametrize("change", [{"width": 8}, {"depth": 1}, {"attention_width": 6}], ids=str)
def test_every_rlfn_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(RLFN(**SMALL), RLFN(**{**SMALL, **change}))


@pytest.mark.parametrize("option", ["width", "depth", "attention_width"])
def test_rlfn_refuses_options_that_are_not_positive(option):
    """The message names the option, its value and what is allowed."""
    with pytest.raises(ValueError, match=f"rlfn: {option} is 0; it must be above 0"):
        RLFN(**{**SMALL, option: 0})


def test_rlfn_claims_no_more_than_it_must(backbone):
    """One pixel less than min_side leaves the attention's pooling no window."""
    with pytest.raises(RuntimeError, match="small"):
        backbone(torch.zeros(1, 3, backbone.min_side - 1, 32))
