"""DarkIR: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.darkir import DarkIR
from benchmark.model import build
from benchmark.model.published import match_weights
from benchmark.model.restorer import fold

SMALL = {"width": 8, "depths": (1, 1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("case", "options", "suffixes"),
    [
        ("darkir_w8_e11", SMALL, ("", "_odd")),
        pytest.param("full/darkir_m", DarkIR.sizes["m"], ("",), marks=pytest.mark.slow),
    ],
)
def test_darkir_gives_the_authors_output(load_golden, with_published_weights, case, options, suffixes):
    """With the authors' weights from a file, the restorer gives the authors' output, at odd sides too."""
    golden = load_golden(case)
    restore = with_published_weights("darkir", options, golden)
    for suffix in suffixes:
        restored = restore(golden.tensors[f"input{suffix}"])
        torch.testing.assert_close(restored, golden.tensors[f"output{suffix}"], rtol=1e-5, atol=5e-5)


def test_darkir_returns_the_authors_side_image_in_training(load_golden):
    """The auxiliary image at a quarter of the size is the one that the authors' loss sees."""
    golden = load_golden("darkir_w8_e11")
    network = build({"backbone": {"name": "darkir", **SMALL}, "head": dict(DarkIR.published.head)})
    network.load_state_dict(match_weights(golden.weights, network)[0])
    with torch.no_grad():
        image, _, auxiliary = network.train()(golden.tensors["input"])
    expected = [golden.tensors["output_0"], golden.tensors["output_1"]]
    torch.testing.assert_close([*auxiliary, image], expected, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [("m", 3.322, 7.10), pytest.param("l", 12.957, 26.88, marks=pytest.mark.slow)],
)
def test_darkir_has_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs, output convolution included, are those of the authors' code; transforms do not count."""
    with torch.device("meta"):
        backbone = DarkIR(**DarkIR.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize("sides", [(1, 1), (6, 5), (8, 12)], ids=str)
def test_frequencies_equal_their_formula(randomise, sides):
    """Every frequency's magnitude goes through the two convolutions; its phase, zero for a zero, stays."""
    frequencies = DarkIR(**SMALL).stages[0][0].frequencies
    randomise(frequencies)
    features = torch.rand(2, 8, *sides) - 0.5
    features[0, 0] = 0
    spectrum = torch.fft.fft2(features)[..., : sides[1] // 2 + 1]
    hidden = frequencies.expand(spectrum.abs())
    mixed = frequencies.project(torch.where(hidden > 0, hidden, 0.1 * hidden))
    expected = torch.fft.irfft2(torch.polar(mixed.abs(), spectrum.angle()) * mixed.sign(), s=sides)
    torch.testing.assert_close(frequencies(features), expected)


def test_a_frequency_block_sees_the_whole_image(randomise):
    """One pixel changes features far beyond the reach of the block's convolutions, even behind another pooling."""
    network = DarkIR(**SMALL).eval()
    randomise(network)
    image = torch.rand(1, 3, 32, 32)
    changed = image.clone()
    changed[..., 0, 0] = 1 - changed[..., 0, 0]
    block = network.stages[0][0]
    with torch.no_grad():
        block.attention.weight.zero_()  # its mean also sees the whole image
        difference = block(network.stem(changed)) - block(network.stem(image))
    assert difference[..., -1, -1].abs().max() > 1e-6


@pytest.mark.parametrize("sides", [(16, 16), (13, 22)], ids=str)
def test_a_dilated_block_equals_its_equations(randomise, sides):
    """Norm, expansion, convolution of pairs, sum of dilated convolutions, gate, attention; then the mixing half."""
    block = DarkIR(**SMALL).stages[-1][0]
    randomise(block)
    features = torch.rand(2, 8, *sides)

    def norm(layer, values):
        centred = values - values.mean(1, keepdim=True)
        normed = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return normed * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)

    pairs = block.spatial_expand(norm(block.spatial_norm, features))
    pairs = F.conv2d(pairs, block.extra.weight, block.extra.bias, padding=1, groups=8)
    around = sum(
        F.conv2d(pairs, branch.weight, branch.bias, padding=reach, dilation=reach, groups=16)
        for branch, reach in zip(block.branches, (1, 4, 9), strict=True)
    )
    gated = around[:, :8] * around[:, 8:]
    gated = gated * block.attention(gated.mean((2, 3), keepdim=True))
    spatial = features + block.beta * block.spatial_project(gated)
    hidden = block.channel_expand(norm(block.channel_norm, spatial))
    expected = spatial + block.gamma * block.channel_project(hidden[:, :8] * hidden[:, 8:])
    torch.testing.assert_close(block(features), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("extra", [True, False])
def test_folded_darkir_has_no_scales_and_gives_the_same_image(randomise, extra):
    """`beta` and `gamma` go into projections; the norm before an extra convolution stays, as that pads with zeros."""
    model = {"backbone": {"name": "darkir", **SMALL, "extra_convolution": extra}, "head": {"name": "rgb"}}
    network = build(model).eval()
    randomise(network)
    folded = fold(network)
    image = torch.rand(1, 3, 21, 30)
    with torch.no_grad():
        torch.testing.assert_close(folded(image).image, network(image).image, rtol=1e-5, atol=1e-5)
    left = set(folded.state_dict())
    assert not any(name.endswith((".beta", ".gamma")) for name in left)
    assert ("backbone.stages.0.0.spatial_norm.weight" in left) == extra
    assert "backbone.stages.4.0.spatial_norm.weight" not in left
    assert fold(folded).state_dict().keys() == left


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 16}, {"depths": (1, 1, 2, 1, 1)}, {"depths": (1, 1, 1)}),
        *({"dilations": (1, 4, 8)}, {"dilations": (1,)}, {"extra_convolution": False}),
    ],
    ids=str,
)
def test_every_darkir_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(DarkIR(**SMALL), DarkIR(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "darkir: width is 0; it must be above 0"),
        ({"depths": (1, 1)}, r"depths is \[1, 1\]; it must hold an odd number"),
        ({"dilations": ()}, r"dilations is \[\]; it must hold integers of at least 1"),
        ({"dilations": (1, 0)}, r"dilations is \[1, 0\]; it must hold integers of at least 1"),
    ],
)
def test_darkir_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        DarkIR(**options)
