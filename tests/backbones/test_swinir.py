"""SwinIR: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn

from backbones.swinir import SwinIR

SMALL = {"width": 8, "depths": (2, 1), "heads": (2, 1), "window": 4}


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = SwinIR(**SMALL)
    randomise(network)
    return network


def outside_attention(attention, features):
    """Window attention pixel by pixel: features `H W C`, with the shift as sets of neighbours."""
    height, width, _ = features.shape
    side, shift, heads = attention.window, attention.shift, attention.heads
    query, key, value = (part.unflatten(-1, (heads, -1)) for part in attention.query_key_value(features).chunk(3, -1))
    table = attention.offset_bias.view(2 * side - 1, 2 * side - 1, heads)
    mixed = torch.zeros_like(features)

    def cell(y, x):
        return (y - shift) // side, (x - shift) // side

    def score(y, x, v, u):
        product = (query[y, x] * key[v, u]).sum(-1) / query.shape[-1] ** 0.5
        return product + table[y - v + side - 1, x - u + side - 1]

    for y in range(height):
        for x in range(width):
            seen = [(v, u) for v in range(height) for u in range(width) if cell(v, u) == cell(y, x)]
            shares = torch.stack([score(y, x, *pixel) for pixel in seen]).softmax(0)
            mixed[y, x] = sum(s[:, None] * value[pixel] for s, pixel in zip(shares, seen, strict=True)).flatten()
    return attention.project(mixed)


THREE_CONVOLUTIONS = {"depths": (1, 2), "heads": (3, 2), "residual_convolutions": 3, "img_range": 255.0}


@pytest.mark.parametrize("case", ["", "_odd"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("swinir_light_e12_w8", {"depths": (2, 2), "heads": (2, 3)}),
        ("swinir_e12_w8_3conv_r255", THREE_CONVOLUTIONS),
    ],
)
def test_swinir_gives_the_authors_output(load_golden, with_published_weights, name, options, case):
    """With the authors' weights from a file, also of a size that windows do not divide."""
    golden = load_golden(name)
    restore = with_published_weights("swinir", {"width": 12, **options}, golden)
    restored = restore(golden.tensors[f"input{case}"])
    torch.testing.assert_close(restored, golden.tensors[f"output{case}"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "millions", "giga"),
    [("light", 0.905, 68.21), pytest.param("denoise", 11.504, 800.30, marks=pytest.mark.slow)],
)
def test_swinir_costs_what_is_published(count_macs, size, millions, giga):
    """Parameters and multiply-adds at 256 px, output convolution and attention products included."""
    with torch.device("meta"):
        backbone = SwinIR(**SwinIR.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)
    assert count_macs(network, 256) / 1e9 == pytest.approx(giga, abs=5e-3)


@pytest.mark.parametrize("block", [0, 1])
def test_swinir_attention_is_that_of_a_shifted_grid(backbone, block):
    """Attention equals sums over the pixels of each window; the shift is a grid that the border cuts off."""
    attention = backbone.groups[0].blocks[block].attention
    assert attention.shift == 2 * block
    features = torch.randn(8, 12, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(attention(features[None])[0], outside_attention(attention, features))


def test_swinir_shifts_an_odd_window_by_half_rounded_down():
    """A window of 7 pixels, as published for JPEG artefacts, shifts by 3 and attends as the definition says."""
    torch.manual_seed(0)
    attention = SwinIR(8, (2,), (2,), window=7).groups[0].blocks[1].attention
    nn.init.normal_(attention.offset_bias)
    assert attention.shift == 3
    features = torch.randn(14, 21, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(attention(features[None])[0], outside_attention(attention, features))


@pytest.mark.parametrize("sides", [(4, 4), (4, 12), (12, 4)])
def test_swinir_attends_in_one_row_or_column_of_windows(backbone, sides):
    """An image as high or as wide as one window, where the last window is also the first."""
    attention = backbone.groups[0].blocks[1].attention
    features = torch.randn(*sides, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(attention(features[None])[0], outside_attention(attention, features))


def test_swinir_sees_the_image_less_the_mean_of_its_training_data(backbone):
    """Features of an image are those of a network without the subtraction, of the image less DIV2K's mean colour."""
    image = torch.rand(1, 3, 8, 8)
    expected = backbone(image)
    colour = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    backbone.mean.zero_()
    torch.testing.assert_close(backbone(image - colour), expected)


def test_swinir_is_its_first_convolution_plus_what_the_groups_make_of_it(backbone):
    """With the last convolution at zero, features are those of the first one."""
    image = torch.rand(2, 3, 8, 12)
    with torch.no_grad():
        backbone.end.weight.zero_()
        backbone.end.bias.zero_()
        torch.testing.assert_close(backbone(image), backbone.stem(image - backbone.mean))


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
    [
        *({"width": 12}, {"depths": (2, 2)}, {"heads": (4, 1)}, {"window": 8}, {"expansion": 3}),
        *({"residual_convolutions": 3}, {"img_range": 255.0}),
    ],
    ids=str,
)
def test_every_option_does_something(differ, option):
    """Another number of parameters, or another output with the same ones."""
    assert differ(SwinIR(**SMALL), SwinIR(**{**SMALL, **option}))


@pytest.mark.parametrize(
    "options",
    [
        *({"width": 0}, {"heads": (3, 1)}, {"depths": (2,)}, {"window": 1}, {"depths": (), "heads": ()}),
        *({"depths": (0, 1)}, {"img_range": 0.0}, {"width": 2, "heads": (1, 1), "residual_convolutions": 3}),
    ],
    ids=str,
)
def test_impossible_options_are_told(options):
    """With the name of the backbone and of the option."""
    with pytest.raises(ValueError, match=r"^swinir: "):
        SwinIR(**{**SMALL, **options})


def test_swinir_small_keeps_within_eight_billion_multiply_adds(count_macs):
    """At 256 px, without the head."""
    with torch.device("meta"):
        backbone = SwinIR(**SwinIR.sizes["small"])
    assert count_macs(backbone, 256) < 8e9
