"""CGNet: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones import cgnet
from backbones.cgnet import CGNet
from benchmark.model.restorer import fold

SMALL = {"width": 4, "depths": (1, 1, 1, 1, 1), "cascade": (3, 2)}


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = CGNet(**SMALL)
    randomise(network)
    return network


def norm(layer, values):
    """Return values `B C H W` normalised over channels, with the weights of a layer."""
    centred = values - values.mean(1, keepdim=True)
    normed = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return normed * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)


def test_cgnet_gives_the_authors_output(load_golden, with_published_weights):
    """With the authors' weights from a file, the restorer gives the authors' output, at odd sides too."""
    golden = load_golden("cgnet_w8")
    restore = with_published_weights("cgnet", {"width": 8, "depths": (1, 1, 1, 1, 1), "cascade": (3, 2)}, golden)
    for suffix in ("", "_odd"):
        restored = restore(golden.tensors[f"input{suffix}"])
        torch.testing.assert_close(restored, golden.tensors[f"output{suffix}"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("sides", [(32, 32), (36, 48), (44, 60)], ids=str)
def test_cgnet_block_equals_its_equations(backbone, sides):
    """Contexts enlarged, put side by side, weighted by their means and projected: the paper's order, at any size."""
    block, features = backbone.stages[0][0], torch.rand(2, 4, *sides)
    mixed = F.gelu(block.depthwise(block.spatial_expand(norm(block.spatial_norm, features))))
    context, gathered = mixed[:, :4] + mixed[:, 4:], [mixed]
    for step, stride in zip(block.cascade, (2, 3, 4), strict=True):
        seen = F.conv2d(context, step.depthwise.weight, stride=stride, groups=4)
        context = F.gelu(step.pointwise(seen))
        gathered.append(F.interpolate(context, size=sides, mode="nearest"))
    together = torch.cat(gathered, 1)
    together = together * block.attention(together.mean((2, 3), keepdim=True))
    spatial = features + block.beta * block.spatial_project(together)
    gate = block.channel_expand(norm(block.channel_norm, spatial))
    expected = spatial + block.gamma * block.channel_project(gate[:, :4] * gate[:, 4:])
    torch.testing.assert_close(block(features), expected, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 200), st.integers(1, 6), st.integers(0, 5))
def test_shares_count_what_nearest_neighbour_repeats(small, factor, rest):
    """The shares are how often the enlarged positions hold each position, whatever the ratio."""
    large = small * factor + rest
    enlarged = F.interpolate(torch.arange(small, dtype=torch.float32)[None, None], size=large).flatten()
    counted = torch.tensor([(enlarged == place).sum() for place in range(small)]) / large
    torch.testing.assert_close(cgnet._shares(small, large, enlarged), counted)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [pytest.param("sidd", 119.223, 61.71, marks=pytest.mark.slow), ("small", 2.156, 1.88)],
)
def test_cgnet_has_the_published_cost_but_for_what_projecting_small_contexts_saves(
    count_macs, size, mega_parameters, giga_macs
):
    """Parameters are those of the authors' code; so are MACs when every context is projected at the size of its level.

    A context of width C costs C*C times its pixels here, and there times the pixels of its level.
    """
    options = CGNet.sizes[size]
    with torch.device("meta"):
        backbone = CGNet(**options)
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    saved = 0
    for level, steps in enumerate(options["cascade"]):
        channels, side = options["width"] << level, 256 >> level
        full = side
        for kernel, stride in ((3, 2), (3, 3), (5, 4))[:steps]:
            side = (side - kernel) // stride + 1
            saved += options["depths"][level] * channels**2 * (full**2 - side**2)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round((count_macs(network, 256) + saved) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change", [{"width": 6}, {"depths": (1, 2, 1, 1, 1)}, {"cascade": (2, 2)}, {"cascade": (3, 3)}], ids=str
)
def test_every_cgnet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(CGNet(**SMALL), CGNet(**{**SMALL, **change}))


@settings(max_examples=12)
@given(st.lists(st.sampled_from([2, 3]), min_size=0, max_size=3), st.integers(0, 1))
def test_cgnet_takes_every_size_it_claims_and_min_side_is_the_least(cascade, more):
    """From min_side upward multiples come back in their size; one multiple below, a cascade has no pixel left."""
    backbone = CGNet(width=2, depths=(1,) * (2 * len(cascade) + 1), cascade=tuple(cascade)).eval()
    width = backbone.min_side + more * backbone.multiple_of
    assert backbone(torch.zeros(1, 3, backbone.min_side, width)).shape == (1, 2, backbone.min_side, width)
    below = backbone.min_side - backbone.multiple_of
    if below:
        with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
            backbone(torch.zeros(1, 3, below, width))


def test_fresh_cgnet_block_is_the_identity():
    """A block returns its input at first, as beta and gamma start at zero, and learns from there."""
    block = CGNet(**SMALL).stages[0][0]
    features = torch.rand(1, 4, 32, 32)
    assert torch.equal(block(features), features)
    block(features).sum().backward()
    assert block.beta.grad.any() and block.gamma.grad.any()


def test_folded_cgnet_gives_the_same_features(backbone):
    """Folding takes norms' weights and both scales out of every block, and the features stay."""
    backbone.eval()
    image = torch.rand(2, 3, 36, 48)
    folded = fold(backbone)
    gone = ("norm.weight", "norm.bias", "beta", "gamma")
    assert not [key for key in folded.state_dict() if key.endswith(gone)]
    with torch.no_grad():
        torch.testing.assert_close(folded(image), backbone(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "cgnet: width is 0; it must be above 0"),
        ({"depths": (1, 1)}, r"depths is \[1, 1\]; it must hold an odd number"),
        ({"cascade": (3,)}, r"cascade is \[3\]; depths has 2 encoder levels, so it must hold 2 times 2 or 3"),
        ({"cascade": (3, 4)}, r"cascade is \[3, 4\]"),
    ],
)
def test_cgnet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        CGNet(**{**SMALL, **options})
