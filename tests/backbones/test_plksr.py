"""PLKSR and RealPLKSR: equal to the authors' code, to their published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.plksr import PLKSR

SMALL = {"width": 8, "depth": 2, "kernel_size": 5}
REAL = {**SMALL, "form": "realplksr"}


def block(layer, features, *, is_real):
    """Wide convolutions, a dense large one on a quarter of the channels, attention, 1x1; perhaps normalised."""
    activation = F.mish if is_real else F.gelu
    mixed = layer.contract(activation(layer.expand(features)))
    large = F.conv2d(mixed[:, :2], layer.large.weight, layer.large.bias, padding=2)
    mixed = torch.cat((large, mixed[:, 2:]), 1)
    mixed = layer.refine(mixed * torch.sigmoid(layer.attention(mixed)))
    if is_real:
        groups = mixed.unflatten(1, (4, 2))
        centred = groups - groups.mean((2, 3, 4), keepdim=True)
        normed = centred / (centred.square().mean((2, 3, 4), keepdim=True) + 1e-5).sqrt()
        mixed = normed.flatten(1, 2) * layer.norm.weight.view(1, -1, 1, 1) + layer.norm.bias.view(1, -1, 1, 1)
    return features + mixed


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plksr_d16_k9_x1", {"width": 16, "depth": 2, "kernel_size": 9}),
        ("realplksr_d16_k9_x1", {"width": 16, "depth": 2, "kernel_size": 9, "form": "realplksr"}),
        pytest.param("full/plksr_x1", PLKSR.sizes["plksr"], marks=pytest.mark.slow),
        pytest.param("full/realplksr_x1", PLKSR.sizes["realplksr"], marks=pytest.mark.slow),
    ],
)
def test_plksr_gives_the_authors_output(load_golden, with_published_weights, name, options):
    """With the authors' weights from a file, the restorer gives the authors' output at upscaling factor 1."""
    golden = load_golden(name)
    restored = with_published_weights("plksr", options, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_plksr_gives_the_authors_output_at_twice_the_size(load_golden, upscale_with_published_weights):
    """The features are those of the published task, too, here without attention; the image is repeated and added."""
    golden = load_golden("plksr_d12_k7_x2")
    options = {"width": 12, "depth": 2, "kernel_size": 7, "attention": False}
    image = golden.tensors["input"]
    enlarged = upscale_with_published_weights("plksr", options, golden, image) + F.interpolate(image, scale_factor=2)
    torch.testing.assert_close(enlarged, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("options", [SMALL, REAL], ids=["plksr", "realplksr"])
@pytest.mark.parametrize("sides", [(16, 24), (13, 9), (3, 2)])
def test_plksr_equals_its_equations(randomise, options, sides):
    """Stem and blocks, written out; images smaller than the large kernel, too."""
    torch.manual_seed(0)
    network = PLKSR(**options)
    randomise(network)
    image = torch.rand(2, 3, *sides)
    features = network.stem(image)
    for layer in network.blocks:
        features = block(layer, features, is_real=options is REAL)
    torch.testing.assert_close(network(image), features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "millions", "giga"),
    [
        *(("plksr", 7.360, 481.7), ("plksr_tiny", 2.345, 153.4), ("realplksr", 7.364, 481.7)),
        *(("realplksr_s", 2.346, 153.4), ("realplksr_l", 16.556, 1083.7)),
    ],
)
def test_plksr_has_the_published_cost(count_macs, size, millions, giga):
    """Parameters and multiply-adds at 256 px, with the last convolution at equal size."""
    with torch.device("meta"):
        backbone = PLKSR(**PLKSR.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 3) == millions
    assert round(count_macs(network, 256) / 1e9, 1) == giga


def test_initial_weights_are_those_of_the_authors():
    """Normal with deviation 0.02, but the first convolution of each block has torch's default."""
    torch.manual_seed(0)
    network = PLKSR(width=32, depth=1)
    layer = network.blocks[0]
    for conv in (network.stem, layer.contract, layer.large, layer.attention, layer.refine):
        assert conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert layer.expand.weight.abs().max().item() == pytest.approx((9 * 32) ** -0.5, rel=0.01)


def test_plksr_drops_whole_channels_in_training():
    """Dropout zeroes whole channels of the features, scales the others, and leaves eval mode alone."""
    torch.manual_seed(0)
    plain, dropping = PLKSR(**SMALL), PLKSR(**SMALL, dropout=0.5)
    dropping.load_state_dict(plain.state_dict())
    image = torch.rand(8, 3, 8, 8)
    with torch.no_grad():
        expected, dropped = plain(image), dropping.train()(image)
        assert torch.equal(dropping.eval()(image), expected)
    kept = dropped.flatten(2).any(-1)
    assert kept.any() and not kept.all()
    torch.testing.assert_close(dropped, 2 * expected * kept[..., None, None])


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 12}, {"depth": 1}, {"kernel_size": 7}, {"share": 0.5}, {"attention": False}),
        {"form": "realplksr"},
    ],
    ids=str,
)
def test_every_plksr_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(PLKSR(**SMALL), PLKSR(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "plksr: width is 0"),
        ({"depth": 0}, "plksr: depth is 0; it must be above 0"),
        ({"kernel_size": 4}, "plksr: kernel_size is 4; it must be odd"),
        ({"share": 0.1}, r"plksr: share is 0.1; .* at least 1 channel of width \(8\)"),
        ({"share": 1.2}, "plksr: share is 1.2; it must be at most 1"),
        ({"dropout": 1.0}, "plksr: dropout is 1.0; it must be at least 0 and below 1"),
        ({"width": 6, "form": "realplksr"}, "plksr: width is 6; in form realplksr it must be a multiple of 4"),
    ],
)
def test_plksr_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        PLKSR(**{**SMALL, **options})
