"""ConvIR: equal to the authors' code at all three sizes, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from backbones.convir import ConvIR
from benchmark.model import build
from benchmark.model.published import match_weights
from benchmark.model.restorer import fold

SMALL = {"width": 8, "depth": 1, "dilations": (1, 3, 7), "max_width": 8}


def restorer(**options):
    """Return the backbone with the published head."""
    return build({"backbone": {"name": "convir", **options}, "head": dict(ConvIR.published.head)})


def filtered(layer, features):
    """Sum of neighbours at a distance, weighted by what the mean gives; low and high frequencies are weighted anew."""
    rows, columns = layer.sides
    weights = torch.tanh(layer.predict(features.mean((2, 3), keepdim=True)))
    weights = weights.view(len(features), 8, rows * columns).repeat_interleave(features.shape[1] // 8, 1)
    down, right = (layer.dilation * (side // 2) for side in (rows, columns))
    padded = F.pad(features, (right, right, down, down), "reflect")
    height, width = features.shape[2:]
    total = torch.zeros_like(features)
    for tap in range(rows * columns):
        top, left = (layer.dilation * offset for offset in divmod(tap, columns))
        total = total + weights[:, :, tap, None, None] * padded[..., top : top + height, left : left + width]
    mean = features.mean([axis for axis, side in ((2, rows), (3, columns)) if side == 3], keepdim=True)
    return layer.low * (total * (layer.inside + 1) - layer.inside * mean) + features * (layer.high + 1)


def block(layer, features):
    """Maps of an eighth, a quarter and a half, each with the coarser one, filtered by squares and strips and added."""
    inner = F.gelu(layer.first(features))
    total, coarser = inner, None
    for pool, conv, shapes in zip((8, 4, 2), layer.filters.convs, layer.filters.shapes, strict=True):
        scaled = F.avg_pool2d(inner, pool)
        if coarser is not None:
            scaled = scaled + F.interpolate(coarser, scale_factor=2, mode="bilinear", align_corners=True)
        scaled = conv(scaled)
        strips = filtered(shapes.column, filtered(shapes.row, scaled))
        coarser = filtered(shapes.square, scaled) + shapes.gamma * strips + shapes.beta * scaled
        total = total + F.interpolate(coarser, scale_factor=pool, mode="bilinear", align_corners=True)
    return features + layer.second(layer.filters.join(F.gelu(total)))


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = ConvIR(**SMALL)
    randomise(network)
    return network


def test_convir_gives_the_authors_outputs(load_golden):
    """With the authors' weights the restorer gives their image in eval mode, and in training those at 1/4 and 1/2.

    Their outputs are those of eval mode, so the normalisation keeps to it.
    """
    golden = load_golden("convir_derain_b8_r2")
    network = restorer(width=8, depth=2, dilations=(3, 7, 9)).eval()
    weights, mismatch = match_weights(golden.weights, network)
    assert not mismatch
    network.load_state_dict(weights)
    with torch.no_grad():
        restored = network(golden.tensors["input"]).image
        network.train()
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.eval()
        image, _, auxiliary = network(golden.tensors["input"])
    expected = [golden.tensors[name] for name in ("output_0", "output_1", "output")]
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)
    torch.testing.assert_close([*auxiliary, image], expected, rtol=1e-5, atol=5e-5)


@pytest.mark.slow
def test_convir_s_gives_the_authors_output(load_golden, with_published_weights):
    """The published small network, with its names, shapes and dilations."""
    golden = load_golden("full/convir_s")
    restored = with_published_weights("convir", ConvIR.sizes["convir_s"], golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_convir_equals_its_equations(backbone):
    """Encoder with its smaller images, filters and decoder, written out level by level."""
    net, image = backbone.eval(), torch.rand(2, 3, 64, 96)
    half, quarter = image[..., ::2, ::2], image[..., ::4, ::4]

    def enter(level, fine, smaller):
        shallow = net.shallow[level - 1]
        seen = smaller
        for conv in shallow.convs[:3]:
            seen = F.gelu(conv(seen))
        seen = F.instance_norm(shallow.convs[3](seen), weight=shallow.norm.weight, bias=shallow.norm.bias)
        coarse = F.gelu(net.downs[level - 1](fine))
        return block(net.encoder[level][0], net.merges[level - 1](torch.cat((coarse, seen), 1)))

    def leave(level, coarse, skipped):
        joined = torch.cat((F.gelu(net.ups[level](coarse)), skipped), 1)
        return block(net.decoder[level][0], F.gelu(net.reductions[level](joined)))

    with torch.no_grad():
        first = block(net.encoder[0][0], F.gelu(net.stem(image)))
        second = enter(1, first, half)
        bottom = block(net.decoder[2][0], enter(2, second, quarter))
        expected = leave(0, leave(1, bottom, second), first)
        torch.testing.assert_close(net(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [
        ("convir_s", 5.531, 38.72),
        pytest.param("convir_b", 8.631, 67.71, marks=pytest.mark.slow),
        pytest.param("convir_l", 14.831, 125.69, marks=pytest.mark.slow),
    ],
)
def test_convir_has_the_published_cost(size, mega_parameters, giga_macs):
    """Parameters and MACs of the whole restorer with all outputs; filters that are made for the image do not count."""
    with torch.device("meta"):
        network = restorer(**ConvIR.sizes[size]).to("meta").train()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 256, 256, device="meta"))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(counter.get_total_flops() // 2 / 1e9, 2) == giga_macs


def test_new_filters_are_the_identity():
    """A new network doubles the smaller maps: square filter and strips start as what they are given."""
    shapes = ConvIR(**SMALL).encoder[0][0].filters.shapes[0].eval()
    features = torch.rand(2, 8, 6, 7)
    torch.testing.assert_close(shapes(features), 2 * features)


def test_a_batch_of_one_image_trains(backbone):
    """It takes the running statistics, and leaves them; a larger batch moves them."""
    norm = backbone.encoder[0][0].filters.shapes[0].square.predict.norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    before, values = norm.running_mean.clone(), torch.randn(3, 72, 1, 1)
    expected = norm.eval()(values[:1])
    assert torch.equal(norm.train()(values[:1]), expected) and torch.equal(norm.running_mean, before)
    norm(values)
    assert not torch.equal(norm.running_mean, before)
    features = backbone.train()(torch.rand(1, 3, 64, 64))
    features.tensor.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in norm.parameters())


def test_folding_takes_the_normalisation_away(backbone):
    """Of each square filter's normalisation one shift is left of a scale and a shift."""
    network = restorer(**SMALL)
    folded = fold(network)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 18 and not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    counts = [sum(parameter.numel() for parameter in net.parameters()) for net in (network, folded)]
    assert counts[0] - counts[1] == 18 * 72


@pytest.mark.parametrize(("dilations", "side"), [((7, 9, 11), 256), ((3, 7, 9), 128), ((1, 3, 7), 64), ((1, 1, 8), 96)])
def test_images_are_as_large_as_the_reflections_need(dilations, side):
    """The least side is what the paper's dilations need and no more: a multiple of 32 less cannot be reflected."""
    network = ConvIR(**{**SMALL, "dilations": dilations}).eval()
    assert network.min_side == side
    with torch.no_grad():
        assert network(torch.rand(1, 3, side, side)).shape == (1, 8, side, side)
        with pytest.raises(RuntimeError, match="Padding size should be less"):
            network(torch.rand(1, 3, side - 32, side))


@pytest.mark.parametrize(
    "change", [{"width": 16, "max_width": 16}, {"depth": 2}, {"dilations": (1, 2, 7)}, {"max_width": 16}], ids=str
)
def test_every_convir_option_changes_the_network(backbone, differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(ConvIR(**SMALL), ConvIR(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 12}, "convir: width is 12; it must be a multiple of 8"),
        ({"width": 0}, "convir: width is 0; it must be above 0"),
        ({"max_width": 20}, "convir: max_width is 20; it must be a multiple of 8"),
        ({"width": 16}, r"convir: max_width is 8; it must be at least width \(16\)"),
        ({"depth": 0}, "convir: depth is 0; it must be above 0"),
        ({"dilations": (0, 3, 7)}, r"convir: dilations is \[0, 3, 7\]; they must be at least 1"),
    ],
)
def test_convir_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        ConvIR(**{**SMALL, **options})
