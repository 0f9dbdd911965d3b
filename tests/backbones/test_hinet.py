"""HINet: equal to the authors' code at both outputs, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F

from backbones import Features
from backbones.hinet import HINet
from benchmark.model import build
from benchmark.model.published import match_weights

SMALL = {"width": 4, "depth": 3}


def restorer(**options):
    """Return the backbone with the published head."""
    return build({"backbone": {"name": "hinet", **options}, "head": dict(HINet.published.head)})


def block(layer, features):
    """Half instance norm block (figure 3); the first half of the channels is normalised, by population variance."""
    inner = layer.conv_1(features)
    if layer.norm is not None:
        first, second = inner.chunk(2, 1)
        variance, mean = torch.var_mean(first, (2, 3), correction=0, keepdim=True)
        scale, shift = (p.view(1, -1, 1, 1) for p in (layer.norm.weight, layer.norm.bias))
        inner = torch.cat(((first - mean) / (variance + 1e-5).sqrt() * scale + shift, second), 1)
    inner = layer.conv_2(F.leaky_relu(inner, 0.2))
    return F.leaky_relu(inner, 0.2) + layer.identity(features)


def u_net(net, features, passed=(0, 0)):
    """U-Net of three levels; what is `passed` is added behind the encoder's blocks."""
    first = block(net.encoder[0], features) + passed[0]
    second = block(net.encoder[1], net.downs[0](first)) + passed[1]
    bottom = block(net.encoder[2], net.downs[1](second))
    coarse = block(net.decoder[1], torch.cat((net.ups[1](bottom), net.skips[1](second)), 1))
    fine = block(net.decoder[0], torch.cat((net.ups[0](coarse), net.skips[0](first)), 1))
    return (first, second), (fine, coarse)


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = HINet(**SMALL)
    randomise(network)
    return network


def test_hinet_gives_the_authors_outputs(load_golden, with_published_weights):
    """With the authors' weights, the restorer gives their second image and in training their first one beside it."""
    golden = load_golden("hinet_wf8_d3_hin04")
    options = {"width": 8, "depth": 3}
    restored = with_published_weights("hinet", options, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)
    network = restorer(**options)
    weights, misfit = match_weights(golden.weights, network)
    assert not misfit
    network.load_state_dict(weights)
    with torch.no_grad():
        image, _, auxiliary = network.train()(golden.tensors["input"])
    expected = [golden.tensors["output_0"], golden.tensors["output_1"]]
    torch.testing.assert_close([*auxiliary, image], expected, rtol=1e-5, atol=5e-5)


def test_hinet_equals_its_equations(backbone):
    """Both networks, the supervised attention and the features passed between them, written out level by level."""
    net, image = backbone, torch.rand(2, 3, 16, 24)
    encoded, decoded = u_net(net.networks[0], net.stems[0](image))
    restored = image + net.supervised.output(decoded[0])
    gate = torch.sigmoid(net.supervised.gate(restored))
    wanted = decoded[0] + gate * net.supervised.project(decoded[0])
    passed = [net.from_encoder[level](encoded[level]) + net.from_decoder[level](decoded[level]) for level in (0, 1)]
    start = net.join(torch.cat((net.stems[1](image), wanted), 1))
    _, (features, _) = u_net(net.networks[1], start, passed)
    outcome = net.train()(image)
    torch.testing.assert_close(outcome.tensor, features, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outcome.auxiliary, (restored,), rtol=1e-5, atol=1e-5)


def test_hinet_gives_the_first_image_in_training_only(backbone):
    """In eval mode the features come alone, the same as in training: the statistics are the image's in both."""
    image = torch.rand(2, 3, 16, 24)
    training = backbone.train()(image)
    assert isinstance(training, Features)
    assert [small.shape for small in training.auxiliary] == [image.shape]
    assert torch.equal(backbone.eval()(image), training.tensor)


@pytest.mark.parametrize(("normalised", "levels"), [((0, 4), [0, 1, 2]), ((1, 2), [1, 2]), ((2, 1), [])])
def test_hinet_normalises_the_levels_it_is_told(normalised, levels):
    """In both encoders the blocks from the first to the last level are normalised, in the decoders none is."""
    for net in HINet(**SMALL, normalised=normalised).networks:
        assert [level for level, layer in enumerate(net.encoder) if layer.norm is not None] == levels
        assert all(layer.norm is None for layer in net.decoder)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [
        pytest.param("sidd", 88.670, 157.60, marks=pytest.mark.slow),
        ("gopro", 88.669, 157.60),
        pytest.param("sidd_half", 22.177, 39.54, marks=pytest.mark.slow),
        ("small", 1.384, 7.71),
    ],
)
def test_hinet_has_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs at 256 px of the whole restorer are those of the authors' code."""
    with torch.device("meta"):
        network = restorer(**HINet.sizes[size])
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize("change", [{"width": 6}, {"depth": 2}, {"normalised": (1, 2)}], ids=str)
def test_every_hinet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(HINet(**SMALL), HINet(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"width": 5}, "width is 5; it must be even"), ({"width": 0}, "above 0"), ({"depth": 1}, "depth is 1")],
)
def test_hinet_refuses_options_outside_what_they_allow(options, said):
    """The message names the option, its value and what is allowed."""
    with pytest.raises(ValueError, match=said):
        HINet(**{**SMALL, **options})
