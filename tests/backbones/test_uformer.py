"""Uformer: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn

from backbones.uformer import Uformer

GOLDEN = {
    "width": 4,
    "depths": (2, 1, 1, 1, 2, 1, 1, 1, 2),
    "heads": (1, 1, 2, 2, 4, 4, 2, 2, 1),
    "window": 2,
    "expansion": 2,
    "train_size": 32,
}
SMALL = {"width": 4, "depths": (2, 2, 2), "heads": (1, 2, 2), "window": 4, "expansion": 2}


def outside_attention(attention, features):
    """Window attention pixel by pixel: features `H W C` already normalised, with the shift as sets of neighbours."""
    height, width, channels = features.shape
    side, shift, heads = attention.window, attention.shift, attention.heads
    per_head = channels // heads
    query = attention.query(features).unflatten(-1, (heads, per_head))
    key, value = (part.unflatten(-1, (heads, per_head)) for part in attention.key_value(features).chunk(2, dim=-1))
    table = attention.offset_bias.view(2 * side - 1, 2 * side - 1, heads)
    mixed = torch.zeros_like(features)

    def cell(y, x):
        return (y - shift) // side, (x - shift) // side

    for y in range(height):
        for x in range(width):
            # A shifted grid of windows cut off at the border: what the cyclic shift with its mask amounts to.
            seen = [(v, u) for v in range(height) for u in range(width) if cell(v, u) == cell(y, x)]
            scores = torch.stack(
                [
                    (query[y, x] * key[v, u]).sum(-1) / per_head**0.5 + table[y - v + side - 1, x - u + side - 1]
                    for v, u in seen
                ]
            ).softmax(0)
            mixed[y, x] = sum(s[:, None] * value[v, u] for s, (v, u) in zip(scores, seen, strict=True)).flatten()
    return attention.project(mixed)


@pytest.mark.parametrize(("train_size", "output"), [(32, "output"), (64, "output_img_size64")])
def test_uformer_gives_the_authors_output(load_golden, with_published_weights, train_size, output):
    """With the authors' weights from a file, the restorer gives the authors' output for either size it is made for."""
    golden = load_golden("uformer_e4_w2")
    restored = with_published_weights("uformer", {**GOLDEN, "train_size": train_size}, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors[output], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("block", [0, 1])
def test_uformer_attention_is_that_of_a_shifted_grid(randomise, block):
    """Attention equals sums over the pixels of each window, of which a shifted grid cuts some at the border."""
    attention = Uformer(**SMALL).stages[1][block].attention
    randomise(attention)
    assert attention.shift == 2 * block
    features = torch.randn(8, 12, 8)
    with torch.no_grad():
        expected = outside_attention(attention, features)
        torch.testing.assert_close(attention(features[None], None)[0], expected, rtol=1e-5, atol=1e-5)


def test_uformer_modulator_repeats_in_every_window():
    """In the decoder alone, each position of a window has its own value, added before attention."""
    backbone = Uformer(**SMALL)
    assert [stage[0].modulator is not None for stage in backbone.stages] == [False, False, True]
    block = backbone.stages[2][1]
    features = torch.randn(1, 8, 12, 8)
    repeated = block.modulator.view(4, 4, 8).repeat(2, 3, 1)
    moved = repeated.roll((2, 2), (0, 1))
    with torch.no_grad():
        expected = block.attention(features + moved, None)
        torch.testing.assert_close(block.attention(features, block.modulator), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [
        ("t", 5.292, 11.27),
        pytest.param("s", 20.751, 40.99, marks=pytest.mark.slow),
        pytest.param("b", 50.881, 86.57, marks=pytest.mark.slow),
    ],
)
def test_uformer_published_sizes_have_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs of the published sizes, output convolution included, are those of the authors' code."""
    with torch.device("meta"):
        backbone = Uformer(**Uformer.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


def test_uformer_saves_parameters_alone():
    """Offsets and masks are made anew by the constructor: a file of weights holds no buffers."""
    backbone = Uformer(**SMALL)
    assert set(backbone.state_dict()) == {name for name, _ in backbone.named_parameters()}


@pytest.mark.parametrize(
    "change",
    [
        {"width": 8},
        {"depths": (2, 1, 2)},
        {"heads": (2, 2, 2)},
        {"window": 2},
        {"expansion": 3},
        {"modulator": False},
        {"train_size": 8},
    ],
    ids=str,
)
def test_every_uformer_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(Uformer(**SMALL), Uformer(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "uformer: width is 0; it must be above 0"),
        ({"depths": (1, 1)}, "odd number"),
        ({"heads": (1, 2)}, r"heads is \[1, 2\]; it must hold one integer per stage that divides its channels"),
        ({"heads": (1, 3, 2)}, r"which are \[4, 8, 8\]"),
        ({"heads": (1, 0, 2)}, "heads is"),
        ({"window": 3}, "window is 3; it must be even"),
        ({"expansion": 0}, "expansion is 0"),
        ({"train_size": 0}, "train_size is 0"),
    ],
)
def test_uformer_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        Uformer(**{**SMALL, **options})
