"""Blend pyramid: equal to its equations, cheap at full size, and every option does something."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones import Features
from backbones.blend_pyramid import BlendPyramid, _laplacian
from backbones.nafnet import NAFNet

SMALL = {"levels": 2, "width": 4, "low_width": 4, "depths": (1, 1, 1)}


def doubled(image):
    """Twice the size, bilinear with pixel centres: each new pixel is 3/4 of the nearest and 1/4 of the next."""
    for axis in (2, 3):
        before = torch.cat((image.narrow(axis, 0, 1), image.narrow(axis, 0, image.shape[axis] - 1)), axis)
        after = torch.cat((image.narrow(axis, 1, image.shape[axis] - 1), image.narrow(axis, -1, 1)), axis)
        pair = (0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after)
        image = torch.stack(pair, axis + 1).flatten(axis, axis + 1)
    return image


def halved(image):
    """Means of squares of four pixels."""
    return (image[..., ::2, ::2] + image[..., ::2, 1::2] + image[..., 1::2, ::2] + image[..., 1::2, 1::2]) / 4


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = BlendPyramid(**SMALL)
    randomise(network)
    return network


@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_laplacian_pyramid_loses_nothing(levels, rows, columns):
    """The small image, enlarged level by level with the details added, is the image again."""
    image = torch.rand(2, 3, rows << levels, columns << levels)
    restored, details = _laplacian(image, levels)
    assert restored.shape[2:] == (rows, columns)
    for detail in reversed(details):
        restored = doubled(restored) + detail
    torch.testing.assert_close(restored, image)


def test_blend_pyramid_equals_its_equations(backbone):
    """Small network with gates, then the features up two levels with the image's detail, written out afresh."""
    net, low, image = backbone.train(), backbone.low, torch.rand(2, 3, 16, 24)
    half = halved(image)
    quarter = halved(half)
    skipped = low.encoder[0](low.stem(quarter))
    bottom = low.downs[0](skipped)
    coarse = torch.relu(low.masks[1].mix(low.masks[1].enter(bottom)))
    decoded = low.decoder[1](bottom * torch.sigmoid(low.masks[1].gate(coarse)))
    nearest = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    fine = torch.relu(low.masks[0].mix(low.masks[0].enter(skipped) + nearest))
    decoded = low.decoder[0]((low.ups[0](decoded) + skipped) * torch.sigmoid(low.masks[0].gate(fine)))
    features = net.entry(decoded)
    for refinement, larger, smaller in ((net.refinements[0], half, quarter), (net.refinements[1], image, half)):
        enlarged = doubled(features)
        seen = torch.cat((enlarged, larger - doubled(smaller)), 1)
        features = enlarged + refinement.second(torch.relu(refinement.first(seen)))
    result = net(image)
    assert isinstance(result, Features)
    torch.testing.assert_close(result.tensor, features, rtol=1e-4, atol=1e-5)
    restored = image[..., ::4, ::4] + net.low_output(decoded)
    torch.testing.assert_close(result.auxiliary, (restored,), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_level_more_costs_one_refinement_at_twice_the_side(count_macs, levels):
    """An image twice as wide and high, with one level more, costs what the finest refinement does, and no more."""
    costs = []
    for more in (0, 1):
        with torch.device("meta"):
            backbone = BlendPyramid(**{**SMALL, "levels": levels + more})
        costs.append(count_macs(backbone, 64 << more))
    assert costs[1] - costs[0] == 9 * (7 * 4 + 4 * 4) * 128**2


def test_cost_falls_with_levels(count_macs):
    """Each level more makes an image of 1024 px cheaper; with four, refinements are more than half of what is left."""
    costs = []
    for levels in (1, 2, 3, 4):
        with torch.device("meta"):
            backbone = BlendPyramid(**{**BlendPyramid.sizes["small"], "levels": levels})
        costs.append(count_macs(backbone, 1024))
    refinements = sum(9 * (11 * 8 + 8 * 8) * (1024 >> level) ** 2 for level in range(4))
    assert all(fewer < more for more, fewer in pairwise(costs))
    assert refinements < costs[-1] < 2 * refinements


def test_blend_pyramid_small_needs_a_third_of_nafnet_small(count_macs):
    """Less than a third of the multiply-adds at 1024 px."""
    with torch.device("meta"):
        pyramid, nafnet = (net(**net.sizes["small"]) for net in (BlendPyramid, NAFNet))
    assert count_macs(pyramid, 1024) < count_macs(nafnet, 1024) / 3


def test_auxiliary_image_is_for_training(backbone):
    """In eval mode the features come alone, the same as in training, and the small image is not restored."""
    image = torch.rand(1, 3, 16, 24)
    training = backbone.train()(image)
    assert [tuple(small.shape[2:]) for small in training.auxiliary] == [(4, 6)]
    nn.init.constant_(backbone.low_output.weight, float("nan"))
    assert torch.equal(backbone.eval()(image), training.tensor)


def test_fresh_auxiliary_image_is_the_degraded_one():
    """Before training the small restored image is every 4th pixel of the degraded one, and the network learns."""
    network, image = BlendPyramid(**SMALL).train(), torch.rand(1, 3, 16, 24)
    (restored,) = network(image).auxiliary
    assert torch.equal(restored, image[..., ::4, ::4])
    restored.square().sum().backward()
    assert network.low_output.weight.grad.any()


def test_detail_reaches_the_features_of_its_own_pixel(backbone):
    """A change that no halving sees, +d and -d side by side, changes the features near it, and only there."""
    image = torch.rand(1, 3, 32, 32)
    changed = image.clone()
    changed[..., 16, 16] += 0.2
    changed[..., 16, 17] -= 0.2
    with torch.no_grad():
        moved = (backbone.eval()(changed) - backbone(image)).abs().amax((0, 1)) > 1e-4
    rows, columns = moved.nonzero().unbind(1)
    assert moved[16, 16]
    assert rows.min() >= 14 and rows.max() <= 18 and columns.min() >= 14 and columns.max() <= 19


@pytest.mark.parametrize(
    "change", [{"levels": 3}, {"width": 5}, {"low_width": 6}, {"depths": (1, 2, 1)}, {"depths": (1,)}], ids=str
)
def test_every_blend_pyramid_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(BlendPyramid(**SMALL), BlendPyramid(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0}, "blend_pyramid: levels is 0; it must be above 0"),
        ({"width": 0}, "width is 0"),
        ({"low_width": -1}, "low_width is -1"),
        ({"depths": (1, 1)}, "blend_pyramid: depths is .* odd number"),
    ],
)
def test_blend_pyramid_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        BlendPyramid(**options)
