"""MIMO-UNet: equal to reference outputs at all three sizes, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from backbones import Features
from backbones.mimo_unet import MimoUNet
from benchmark.model import build
from benchmark.model.published import match_weights

SMALL = {"width": 4, "depth": 1}


def restorer(**options):
    """Return the backbone with the published head."""
    return build({"backbone": {"name": "mimo_unet", **options}, "head": dict(MimoUNet.published.head)})


def nearest(features, scale):
    """Every 1/scale-th pixel, or every pixel scale times over."""
    if scale < 1:
        return features[..., :: round(1 / scale), :: round(1 / scale)]
    return features.repeat_interleave(int(scale), -1).repeat_interleave(int(scale), -2)


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = MimoUNet(**SMALL)
    randomise(network)
    return network


def test_mimo_unet_gives_the_reference_outputs(load_golden):
    """With the reference weights, the whole restorer gives the reference image, and in training those at 1/4, 1/2."""
    golden = load_golden("mimounet_base8_res1")
    network = restorer(width=8, depth=1)
    weights, misfit = match_weights(golden.weights, network)
    assert not misfit
    network.load_state_dict(weights)
    with torch.no_grad():
        image, _, auxiliary = network.train()(golden.tensors["input"])
        in_eval = network.eval()(golden.tensors["input"]).image
    expected = [golden.tensors[f"output_{index}"] for index in range(3)]
    torch.testing.assert_close([*auxiliary, image], expected, rtol=1e-5, atol=5e-5)
    torch.testing.assert_close(in_eval, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_mimo_unet_equals_its_equations(backbone):
    """Encoder, attention, fusion of all levels and decoder, written out level by level."""
    net, image = backbone, torch.rand(2, 3, 16, 24)
    half, quarter = nearest(image, 1 / 2), nearest(image, 1 / 4)

    def enter(level, fine, smaller):
        coarse, shallow = net.downs[level - 1](fine), net.shallow[level - 1]
        seen = shallow.project(torch.cat((smaller, shallow.body(smaller)), 1))
        return net.encoder[level](coarse + net.attentions[level - 1](coarse * seen))

    def leave(level, coarse, fused):
        return net.decoder[level](net.reductions[level](torch.cat((net.ups[level](coarse), fused), 1)))

    first = net.encoder[0](net.stem(image))
    second = enter(1, first, half)
    third = enter(2, second, quarter)
    full = net.fusions[0](torch.cat((first, nearest(second, 2), nearest(third, 4)), 1))
    halved = net.fusions[1](torch.cat((nearest(first, 1 / 2), second, nearest(third, 2)), 1))
    bottom = net.decoder[2](third)
    middle = leave(1, bottom, halved)
    features = net.train()(image)
    torch.testing.assert_close(features.tensor, leave(0, middle, full))
    torch.testing.assert_close(features.auxiliary, (quarter + net.outputs[1](bottom), half + net.outputs[0](middle)))


def test_auxiliary_images_are_for_training(backbone):
    """In eval mode the features come alone, the same as in training, and the smaller outputs are not computed."""
    image = torch.rand(1, 3, 16, 24)
    training = backbone.train()(image)
    assert isinstance(training, Features)
    assert [tuple(small.shape[2:]) for small in training.auxiliary] == [(4, 6), (8, 12)]
    nn.init.constant_(backbone.outputs[0].weight, float("nan"))
    assert torch.equal(backbone.eval()(image), training.tensor)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs", "outputs"),
    [
        pytest.param("mimo_unet", 6.807, 63.73, 32, marks=pytest.mark.slow),
        pytest.param("mimo_unet_plus", 16.108, 150.71, 32, marks=pytest.mark.slow),
        ("small", 1.706, 15.97, 16),
    ],
)
def test_mimo_unet_has_the_published_cost(size, mega_parameters, giga_macs, outputs):
    """Parameters and MACs of the whole restorer with all outputs are the published ones; eval mode saves two."""
    with torch.device("meta"):
        network = restorer(**MimoUNet.sizes[size])
    macs = {}
    for training in (True, False):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.to("meta").train(training)(torch.empty(1, 3, 256, 256, device="meta"))
        macs[training] = counter.get_total_flops() // 2
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(macs[True] / 1e9, 2) == giga_macs
    assert macs[True] - macs[False] == 27 * (2 * outputs * 128**2 + 4 * outputs * 64**2)


@pytest.mark.parametrize("change", [{"width": 6}, {"depth": 2}], ids=str)
def test_every_mimo_unet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(MimoUNet(**SMALL), MimoUNet(**{**SMALL, **change}))


def test_mimo_unet_drops_whole_channels_in_training(randomise):
    """Dropout zeroes whole channels of the fused skip connections, scales the others, and leaves eval mode alone."""
    torch.manual_seed(0)
    plain, dropping = MimoUNet(**SMALL), MimoUNet(**SMALL, dropout=0.5)
    randomise(plain)
    dropping.load_state_dict(plain.state_dict())
    fused, dropped = [], []
    for fusion in dropping.fusions:
        fusion.register_forward_hook(lambda _, __, output: fused.append(output))
    dropping.dropout.register_forward_hook(lambda _, __, output: dropped.append(output))
    image = torch.rand(8, 3, 8, 8)
    with torch.no_grad():
        dropping.train()(image)
        assert torch.equal(dropping.eval()(image), plain.eval()(image))
    for before, after in zip(fused[:2], dropped[:2], strict=True):
        kept = after.flatten(2).any(-1)
        assert kept.any() and not kept.all()
        assert torch.equal(after, 2 * before * kept[..., None, None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 7}, "mimo_unet: width is 7; it must be even and at least 2"),
        ({"width": 0}, "width is 0"),
        ({"depth": 0}, "mimo_unet: depth is 0; it must be above 0"),
        ({"dropout": 1.0}, "mimo_unet: dropout is 1.0; it must be at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
    ],
)
def test_mimo_unet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        MimoUNet(**options)
