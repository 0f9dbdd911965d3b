"""ESC: equal to the authors' code, to its published cost, folded exactly, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.esc import ESC
from benchmark.model import build
from benchmark.model.published import match_weights
from benchmark.model.restorer import fold

SMALL = {"width": 8, "depth": 1, "convolutions": 2, "partial": 4, "kernel_size": 5, "window": 4, "heads": 2}
GOLDEN = {"width": 16, "depth": 2, "convolutions": 2, "partial": 8, "kernel_size": 7, "window": 8, "heads": 2}
GOLDEN_X2 = {"width": 16, "depth": 1, "convolutions": 2, "partial": 4, "kernel_size": 5, "window": 8, "heads": 4}
RESIDUAL = {"name": "residual", "padding": "zeros"}


def attention(layer, features):
    """Attention among the pixels of each window, pixel by pixel; a reflection fills the windows at the border."""
    heads, side = layer.heads, layer.window
    height, width = features.shape[2:]
    padded = F.pad(features, (0, -width % side, 0, -height % side), "reflect")
    query, key, value = layer.query_key_value(padded).unflatten(1, (3, heads, -1)).unbind(1)
    table = layer.offset_bias.view(heads, 2 * side - 1, 2 * side - 1)
    mixed = torch.zeros_like(query)
    for y in range(padded.shape[2]):
        for x in range(padded.shape[3]):
            top, left = y // side * side, x // side * side
            window = (..., slice(top, top + side), slice(left, left + side))
            scores = (query[..., y, x, None, None] * key[window]).sum(2) / query.shape[2] ** 0.5
            scores = scores + table[:, top - y + side - 1 :, left - x + side - 1 :][:, :side, :side]
            shares = scores.flatten(2).softmax(2).view_as(scores)
            mixed[..., y, x] = (shares[:, :, None] * value[window]).sum((3, 4))
    return layer.project(mixed.flatten(1, 2)[..., :height, :width])


def convolution(layer, features, weight):
    """The shared kernel, the mean of its flips and turns, and 3x3 filters of each image on the first channels."""
    part = len(weight)
    images = [image for turns in range(4) for image in (weight.rot90(turns, (2, 3)), weight.rot90(turns, (3, 2)).mT)]
    first, passed = features[:, :part], features[:, part:]
    filters = layer.excite(F.gelu(layer.squeeze(first.mean((2, 3), keepdim=True)))).view(-1, part, 1, 3, 3)
    small = [
        F.conv2d(image[None], filter_, padding=1, groups=part) for image, filter_ in zip(first, filters, strict=True)
    ]
    large = F.conv2d(first, sum(images) / 8, padding=weight.shape[2] // 2)
    return layer.join(torch.cat((large + torch.cat(small), passed), 1))


def mixing(layer, features):
    """Hidden features and the activated depthwise convolution of them."""
    hidden = F.gelu(layer.expand(features))
    return layer.contract(hidden + F.gelu(layer.depthwise(hidden)))


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = ESC(**SMALL)
    randomise(network)
    return network


@pytest.mark.parametrize(
    ("name", "options", "case"),
    [("esc_d16_w8_x1", GOLDEN, ""), ("esc_d16_w8_x1", GOLDEN, "_odd"), ("full/esc_x1", {}, "")],
)
def test_esc_gives_the_authors_output(load_golden, with_published_weights, name, options, case):
    """With the authors' weights from a file, at upscaling factor 1, also of a size that windows do not divide."""
    golden = load_golden(name)
    restored = with_published_weights("esc", options, golden)(golden.tensors[f"input{case}"])
    torch.testing.assert_close(restored, golden.tensors[f"output{case}"], rtol=1e-5, atol=5e-5)


def test_esc_gives_the_authors_output_at_twice_the_size(load_golden, upscale_with_published_weights):
    """The features are those of the published task, too; the image is repeated and added."""
    golden = load_golden("esc_d16_w8_x2")
    image = golden.tensors["input"]
    enlarged = upscale_with_published_weights("esc", GOLDEN_X2, golden, image) + F.interpolate(image, scale_factor=2)
    torch.testing.assert_close(enlarged, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_a_folded_esc_has_the_authors_kernel(load_golden):
    """Folding keeps the kernel that the authors store for inference, and the output."""
    golden = load_golden("esc_d16_w8_x1")
    network = build({"backbone": {"name": "esc", **GOLDEN}, "head": RESIDUAL}).eval()
    network.load_state_dict(match_weights(golden.weights, network)[0])
    folded = fold(network)
    torch.testing.assert_close(folded.backbone.kernel.weight, golden.tensors["folded/plk_filter"])
    with torch.no_grad():
        restored = folded(golden.tensors["input_odd"]).image
    torch.testing.assert_close(restored, golden.tensors["output_odd"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("sides", [(8, 12), (7, 10), (3, 3)])
def test_esc_equals_its_equations(backbone, sides):
    """Stem, block, last convolution and the long skip, written out; windows that the border cuts off, too."""
    image = torch.rand(2, 3, *sides)
    layer = backbone.blocks[0]
    with torch.no_grad():
        first = backbone.stem(image)
        inner = mixing(layer.mixing, layer.mixing_norm(first))
        inner = inner + attention(layer.attention, layer.attention_norm(inner))
        for each, conv in zip(layer.mixings, layer.convolutions, strict=True):
            inner = inner + convolution(conv, mixing(each, inner), backbone.kernel.weight)
        features = first + layer.last(layer.last_norm(inner))
        torch.testing.assert_close(backbone(image), first + backbone.end(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "millions", "giga"), [("esc", 0.942, 164.6), ("esc_light", 0.598, 99.8)])
def test_esc_has_the_published_cost(count_macs, size, millions, giga):
    """Parameters and multiply-adds at 256 px, with attention products and the last convolution at equal size.

    The published count has the filters that are made for the image, too: 9 for each channel and pixel that they filter.
    """
    with torch.device("meta"):
        backbone = ESC(**ESC.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 3) == millions
    in_filters = 9 * 16 * 256**2 * sum(len(block.convolutions) for block in backbone.blocks)
    assert round((count_macs(network, 256) + in_filters) / 1e9, 1) == giga


def test_initial_weights_are_those_of_the_authors():
    """An orthogonal kernel, small biases of offsets, and small filters of zero."""
    torch.manual_seed(0)
    network = ESC(**SMALL)
    rows = network.kernel.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(4), atol=1e-5, rtol=0)
    assert network.blocks[0].attention.offset_bias.std().item() == pytest.approx(0.001, rel=0.3)
    assert not any(parameter.any() for parameter in network.blocks[0].convolutions[0].excite.parameters())


def test_folding_takes_two_norms_of_each_block(backbone):
    """A scale and a shift per channel of each, into 1x1 convolutions that have a bias already."""
    network = build({"backbone": {"name": "esc", **SMALL}, "head": RESIDUAL})
    counts = [sum(parameter.numel() for parameter in net.parameters()) for net in (network, fold(network))]
    assert counts[0] - counts[1] == 4 * 8


def test_esc_claims_no_more_than_it_must(backbone):
    """One pixel less than min_side leaves the reflection too few pixels."""
    assert backbone.min_side == 3
    with pytest.raises(RuntimeError, match="Padding size should be less"):
        backbone(torch.zeros(1, 3, 2, 8))


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 12}, {"depth": 2}, {"convolutions": 1}, {"partial": 6}, {"kernel_size": 3}),
        *({"window": 8}, {"heads": 4}, {"expansion": 2.0}),
    ],
    ids=str,
)
def test_every_esc_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(ESC(**SMALL), ESC(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 9}, r"esc: width is 9; it must be a multiple of heads \(2\)"),
        ({"width": 0}, "esc: width is 0; it must be above 0"),
        ({"partial": 1}, r"esc: partial is 1; it must be at least 2 and at most width \(8\)"),
        ({"partial": 10}, "esc: partial is 10"),
        ({"kernel_size": 4}, "esc: kernel_size is 4; it must be odd"),
        ({"window": 0}, "esc: window is 0; it must be above 0"),
        ({"expansion": 0.1}, r"esc: expansion is 0.1; times width \(8\) it must be at least 1"),
    ],
)
def test_esc_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        ESC(**{**SMALL, **options})
