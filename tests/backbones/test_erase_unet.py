"""ErasE-UNet: coarse images at three sizes, a refinement that sees the largest, attention as its equations say."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones import Features
from backbones.erase_unet import EraseUNet

SMALL = {"width": 4, "levels": 2, "max_width": 8, "pool": 2}


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = EraseUNet(**SMALL)
    randomise(network)
    return network


def test_erase_unet_refines_the_coarse_image(backbone):
    """The second network sees the image beside the coarse one, which is the image plus the first one's correction."""
    image = torch.rand(2, 3, 16, 24)
    full, half, quarter = backbone.coarse(image)
    coarse = image + backbone.outputs[0](full)
    smaller = (image[..., ::4, ::4] + backbone.outputs[2](quarter), image[..., ::2, ::2] + backbone.outputs[1](half))
    refined = backbone.refinement(torch.cat((image, coarse), 1))[0]
    features = backbone.train()(image)
    torch.testing.assert_close(features.tensor, refined)
    torch.testing.assert_close(features.auxiliary, (*smaller, coarse))


def test_erase_unet_levels_are_joined_by_added_skip_connections(backbone):
    """One of its U-Nets, written out level by level."""
    net, image = backbone.coarse, torch.rand(1, 3, 8, 12)
    first = net.encoder[0](net.stem(image))
    second = net.encoder[1](net.downs[0](first))
    third = net.encoder[2](net.downs[1](second))
    middle = net.decoder[0 + 1](net.ups[1](third) + second)
    fine = net.decoder[0](net.ups[0](middle) + first)
    torch.testing.assert_close(net(image), [fine, middle, third])


def test_auxiliary_images_of_erase_unet_are_for_training(backbone):
    """In eval mode the features come alone, the same as in training, and the smaller outputs are not computed."""
    image = torch.rand(1, 3, 16, 24)
    training = backbone.train()(image)
    assert isinstance(training, Features)
    assert [tuple(coarse.shape[2:]) for coarse in training.auxiliary] == [(4, 6), (8, 12), (16, 24)]
    nn.init.constant_(backbone.outputs[1].weight, float("nan"))
    assert torch.equal(backbone.eval()(image), training.tensor)


def test_fresh_erase_unet_starts_from_the_degraded_image():
    """Untrained, the coarse images are the degraded one at every s-th pixel, and branches add nothing."""
    torch.manual_seed(0)
    backbone, image = EraseUNet(**SMALL), torch.rand(1, 3, 16, 16)
    features = backbone.train()(image)
    torch.testing.assert_close(features.auxiliary, (image[..., ::4, ::4], image[..., ::2, ::2], image))
    block = backbone.refinement.encoder[0][0]
    assert torch.equal(block(features.tensor), features.tensor)


def test_mixed_attention_equals_its_equations(backbone):
    """First each channel by the means of all, then each pixel by mean and maximum of its channels."""
    block, features = backbone.refinement.encoder[1][0], torch.randn(2, 8, 10, 6)
    channel, spatial = block.attention
    branch = block.last(F.relu(block.first(features)))
    weights = channel.excite(F.relu(channel.squeeze(branch.mean(3, keepdim=True).mean(2, keepdim=True))))
    branch = branch / (1 + torch.exp(-weights))
    pair = torch.stack((branch.mean(1), branch.max(1).values), 1)
    expected = features + branch / (1 + torch.exp(-spatial.conv(pair)))
    torch.testing.assert_close(block(features), expected)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 1)])
def test_non_local_block_equals_its_equation(backbone, height, width):
    """Softmax over squares of pixels, those at the border filled with the last row and column, pixel by pixel."""
    block, features = backbone.refinement.middle, torch.randn(2, 8, height, width)
    rows, columns = -(-height // 2), -(-width // 2)

    def square(row, column):
        ys = [min(2 * row + i, height - 1) for i in range(2)]
        xs = [min(2 * column + i, width - 1) for i in range(2)]
        return sum(features[:, :, y, x] for y in ys for x in xs) / 4

    squares = torch.stack([square(row, column) for row in range(rows) for column in range(columns)], -1)[..., None]
    key, value = block.key(squares)[..., 0], block.value(squares)[..., 0]
    query = block.query(features)
    expected = features.clone()
    for row in range(height):
        for column in range(width):
            logits = torch.einsum("bc,bcn->bn", query[:, :, row, column], key) / math.sqrt(query.shape[1])
            answer = torch.einsum("bn,bcn->bc", logits.softmax(-1), value)
            expected[:, :, row, column] += block.last(answer[..., None, None])[..., 0, 0]
    torch.testing.assert_close(block(features), expected)


def test_erase_unet_sees_the_whole_image_only_with_non_local_attention(randomise):
    """A change in one corner moves the features in the other one through the self-attention."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 128, 128)
    changed = image.clone()
    changed[..., :8, :8] = 1 - changed[..., :8, :8]
    for non_local in (True, False):
        backbone = EraseUNet(**SMALL, attention="none", non_local=non_local).eval()
        randomise(backbone)
        with torch.no_grad():
            moved = (backbone(image) - backbone(changed))[..., -8:, -8:].abs().max()
        assert (moved > 0) == non_local


def test_erase_unet_cost_grows_little_faster_than_the_image(count_macs):
    """Size small takes at most 10 GMACs at 256 px, and at 1024 px at most 16.5 times as many."""
    macs = [count_macs(EraseUNet(**EraseUNet.sizes["small"]), side) for side in (256, 1024)]
    assert macs[0] < 10e9
    assert 16 * macs[0] < macs[1] < 16.5 * macs[0]


@pytest.mark.parametrize(
    "change",
    [
        {"width": 6},
        {"levels": 3},
        {"max_width": None},
        {"depth": 2},
        {"attention": "channel"},
        {"attention": "spatial"},
        {"attention": "none"},
        {"non_local": False},
        {"pool": 1},
    ],
    ids=str,
)
def test_every_erase_unet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(EraseUNet(**SMALL), EraseUNet(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "erase_unet: width is 0; it must be above 0"),
        ({"depth": 0}, "depth is 0; it must be above 0"),
        ({"pool": 0}, "pool is 0; it must be above 0"),
        ({"levels": 1}, "erase_unet: levels is 1; it must be at least 2"),
        ({"max_width": 2}, r"max_width is 2; it must be at least width \(4\), or null"),
    ],
)
def test_erase_unet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        EraseUNet(**{**SMALL, **options})
