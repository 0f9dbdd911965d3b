"""SAFMN: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.safmn import SAFMN, shrink

SMALL = {"width": 8, "depth": 2}


def layer_norm(norm, features):
    """Over the channels of each pixel, epsilon 1e-6."""
    centred = features - features.mean(1, keepdim=True)
    deviation = (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return centred / deviation * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


def block(layer, features):
    """Quarters of the channels as maxima of 1, 2, 4 and 8 pixels; nearest neighbours; then a wide and a 1x1 conv."""
    size = features.shape[2:]
    normed = layer_norm(layer.modulation_norm, features)
    parts = []
    for index, part in enumerate(normed.chunk(4, dim=1)):
        pooled = F.adaptive_max_pool2d(part, [side // 2**index for side in size])
        conv = layer.modulation.filters[index]
        filtered = F.conv2d(pooled, conv.weight, conv.bias, padding=1, groups=part.shape[1])
        parts.append(F.interpolate(filtered, size, mode="nearest"))
    features = features + F.gelu(layer.modulation.join(torch.cat(parts, 1))) * normed
    return features + layer.contract(F.gelu(layer.expand(layer_norm(layer.mixing_norm, features))))


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = SAFMN(**SMALL)
    randomise(network)
    return network


@pytest.mark.parametrize(("name", "options"), [("safmn_d16_x1", {"width": 16, "depth": 2}), ("full/safmn_x1", {})])
def test_safmn_gives_the_authors_output(load_golden, with_published_weights, name, options):
    """With the authors' weights from a file, the restorer gives the authors' output at upscaling factor 1."""
    golden = load_golden(name)
    restored = with_published_weights("safmn", options, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_safmn_gives_the_authors_output_at_twice_the_size(load_golden, upscale_with_published_weights):
    """The features are those of the published task, too: all of its weights but the last convolution's fit."""
    golden = load_golden("safmn_d12_x2")
    enlarged = upscale_with_published_weights("safmn", {"width": 12, "depth": 2}, golden, golden.tensors["input"])
    torch.testing.assert_close(enlarged, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("sides", [(32, 40), (29, 43), (8, 15)])
def test_safmn_equals_its_equations(backbone, sides):
    """Stem, blocks and the long skip, written out; sides that cannot be halved thrice, too."""
    image = torch.rand(2, 3, *sides)
    first = backbone.stem(image)
    deep = first
    for layer in backbone.blocks:
        deep = block(layer, deep)
    torch.testing.assert_close(backbone(image), first + deep, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_features_shrink_to_the_maxima_of_adaptive_windows(scale):
    """For all sides from 8 to 40 pixels; the gradient goes to the largest pixel of each window."""
    for side in range(8, 41):
        features = torch.rand(1, 2, side, 48 - side // 2, requires_grad=True)
        expected = F.adaptive_max_pool2d(features, [length // scale for length in features.shape[2:]])
        result = shrink(features, scale)
        assert torch.equal(result, expected)
        torch.testing.assert_close(*(torch.autograd.grad(out.sum(), features)[0] for out in (result, expected)))


@pytest.mark.parametrize(
    ("size", "millions", "giga"),
    [("safmn", 0.225, 14.45), pytest.param("safmn_l", 5.549, 361.6, marks=pytest.mark.slow)],
)
def test_safmn_has_the_published_cost(count_macs, size, millions, giga):
    """Parameters and multiply-adds at 256 px, with the last convolution at equal size."""
    with torch.device("meta"):
        backbone = SAFMN(**SAFMN.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 3) == millions
    assert count_macs(network, 256) / 1e9 == pytest.approx(giga, abs=5e-3 if size == "safmn" else 5e-2)


@pytest.mark.parametrize("change", [{"width": 12}, {"depth": 1}, {"expansion": 1.5}], ids=str)
def test_every_safmn_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(SAFMN(**SMALL), SAFMN(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 6}, "safmn: width is 6; it must be a multiple of 4"),
        ({"width": 0}, "safmn: width is 0"),
        ({"depth": 0}, "safmn: depth is 0; it must be above 0"),
        ({"expansion": 0.1}, r"safmn: expansion is 0.1; times width \(8\) it must be at least 1"),
    ],
)
def test_safmn_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        SAFMN(**{**SMALL, **options})
