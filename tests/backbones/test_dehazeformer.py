"""DehazeFormer: equal to the authors' code, to its published cost, and every option does something."""

import re

import pytest
import torch
import torch.nn.functional as F

from backbones.dehazeformer import DehazeFormer, _Block, _RescaleNorm
from benchmark.model import build
from benchmark.model.restorer import fold

TINY_CASE = {"widths": (8, 16, 24, 16, 8), "depths": (2, 2, 2, 1, 1), "attention": (0.0, 0.5, 1.0, 0.0, 0.0)}
SMALL = {"widths": (4, 8, 12, 8, 4), "depths": (1, 2, 2, 1, 1), "heads": (1, 2, 3, 1, 1), "window": 4}


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = DehazeFormer(**SMALL)
    randomise(network)
    return network


@pytest.mark.parametrize("case", ["", "_odd"])
def test_dehazeformer_gives_the_authors_output(load_golden, with_published_weights, case):
    """With the authors' weights from a file, through head `degradation` with one gain, in its units of [0, 1]."""
    golden = load_golden("dehazeformer_dwconv_w8")
    restored = with_published_weights("dehazeformer", TINY_CASE, golden)(golden.tensors[f"input{case}"])
    torch.testing.assert_close(restored, golden.tensors[f"output{case}"], rtol=1e-5, atol=5e-5)


def test_size_t_gives_the_authors_output(load_golden, with_published_weights):
    """The published size has the official keys, shapes and wiring."""
    golden = load_golden("full/dehazeformer_t")
    restored = with_published_weights("dehazeformer", dict(DehazeFormer.sizes["t"]), golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "millions", "giga"),
    [
        ("t", 0.687, 6.64),
        pytest.param("s", 1.285, 13.10, marks=pytest.mark.slow),
        pytest.param("b", 2.518, 25.73, marks=pytest.mark.slow),
        pytest.param("d", 4.983, 50.98, marks=pytest.mark.slow),
        pytest.param("w", 9.687, 94.32, marks=pytest.mark.slow),
        ("m", 4.636, 48.60),
        pytest.param("l", 25.452, 279.62, marks=pytest.mark.slow),
    ],
)
def test_dehazeformer_costs_what_is_published(count_macs, size, millions, giga):
    """Parameters and multiply-adds at 256 px; the few of the biases per offset are in ours, too, whatever the size."""
    head = dict(DehazeFormer.published.head)
    with torch.device("meta"):
        network = build({"backbone": {"name": "dehazeformer", **DehazeFormer.sizes[size]}, "head": head})
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=6e-4)
    assert count_macs(network, 256) / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize("window", [2, 4, 6, 8, 12])
def test_the_smallest_side_is_the_smallest(window):
    """An image of `min_side` passes; the coarsest level of one a step smaller cannot be filled by reflection."""
    backbone = DehazeFormer(**{**SMALL, "window": window, "attention": (1.0, 1.0, 1.0, 1.0, 1.0)})
    side = backbone.min_side
    assert backbone(torch.zeros(1, 3, side, side)).shape == (1, 4, side, side)
    with pytest.raises(RuntimeError, match=r"[Pp]adding size should be less"):
        backbone(torch.zeros(1, 3, side - 4, side - 4))


@pytest.mark.parametrize("convolution", ["depthwise", "dense"])
def test_a_block_equals_its_equations(randomise, convolution):
    """Norm over the image, attention plus convolution, deviation and mean put back, then the feed-forward part."""
    torch.manual_seed(0)
    block = _Block(8, 16, 2, 4, 0, depthwise=convolution == "depthwise")
    randomise(block)
    features = torch.rand(2, 8, 8, 12)
    mean = features.mean((1, 2, 3), keepdim=True)
    deviation = (features.var((1, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    normed = (features - mean) / deviation * block.norm.weight + block.norm.bias
    value = block.value(normed)
    query, key = block.query_key(normed).chunk(2, dim=1)
    attended = torch.zeros_like(value)
    for top in range(0, 8, 4):
        for left in range(0, 12, 4):
            cut = (slice(None), slice(None), slice(top, top + 4), slice(left, left + 4))
            parts = [part[cut].flatten(2).unflatten(1, (2, 4)).transpose(2, 3) for part in (query, key, value)]
            scores = parts[0] @ parts[1].transpose(2, 3) / 2 + block.offset_bias()
            attended[cut] = (scores.softmax(-1) @ parts[2]).transpose(2, 3).flatten(1, 2).unflatten(2, (4, 4))
    mixed = block.project(block.convolution(value) + attended)
    expected = features + mixed * block.norm.scale(deviation) + block.norm.shift(mean)
    expected = expected + block.contract(F.relu(block.expand(expected)))
    torch.testing.assert_close(block(features), expected, rtol=1e-5, atol=1e-5)


def test_a_dense_block_without_attention_is_two_convolutions(randomise):
    """Neither values nor a projection: 3x3, ReLU, 3x3, with reflection, beside the identity."""
    torch.manual_seed(0)
    block = _Block(8, 16, 0, 4, 0, depthwise=False)
    randomise(block)
    features = torch.rand(2, 8, 8, 12)
    first, _, second = block.convolution
    mixed = F.relu(F.conv2d(F.pad(features, (1, 1, 1, 1), "reflect"), first.weight, first.bias))
    expected = features + F.conv2d(F.pad(mixed, (1, 1, 1, 1), "reflect"), second.weight, second.bias)
    expected = expected + block.contract(F.relu(block.expand(expected)))
    torch.testing.assert_close(block(features), expected)
    assert {name.split(".")[0] for name, _ in block.named_parameters()} == {"convolution", "expand", "contract"}


def test_published_keys_of_dense_blocks_fit():
    """What the authors call the two convolutions gets our names."""
    ours = DehazeFormer(**SMALL, convolution="dense").state_dict()
    theirs = {"layer1.blocks.0.attn.conv.0.weight": "stages.0.0.convolution.0.weight"}
    theirs |= {"layer3.blocks.1.attn.conv.2.bias": "stages.2.1.convolution.2.bias"}
    for key, expected in theirs.items():
        matches = (
            re.fullmatch(pattern, key) and re.sub(pattern, new, key) for pattern, new in DehazeFormer.published.keys
        )
        assert next(filter(None, matches)) == f"backbone.{expected}"
        assert expected in ours


def test_fresh_weights_have_the_published_spread():
    """Xavier's deviation times (8 blocks)^(-1/4), query and key without the factor, biases zero."""
    torch.manual_seed(0)
    block = DehazeFormer(widths=(8, 16, 96, 16, 8), depths=(1, 1, 2, 1, 1), attention=(0.0, 0.0, 1.0, 0.0, 0.0)).stages[
        2
    ][0]
    gain = 48**-0.25
    for conv, fans, factor in (
        (block.query_key, 3 * 96, 1.0),
        (block.value, 2 * 96, gain),
        (block.project, 2 * 96, gain),
        (block.convolution, 25 + 25 * 96, gain),
        (block.expand, 5 * 96, gain),
        (block.contract, 5 * 96, gain),
    ):
        assert conv.weight.std().item() == pytest.approx(factor * (2 / fans) ** 0.5, rel=0.06)
        assert not conv.bias.any()


def test_a_shift_moves_the_windows(randomise):
    """Two pixels side by side see each other through attention if and only if a window holds both."""
    torch.manual_seed(0)
    for shifted, together in ((0, False), (1, True)):
        block = _Block(8, 16, 2, 4, shifted, depthwise=True)
        features = torch.rand(1, 8, 8, 8, requires_grad=True)
        triple = torch.cat((features, features, features), dim=1)
        block._attend(triple)[0, :, 3, 3].sum().backward()
        assert bool(features.grad[0, :, 4, 4].any()) == together


def test_a_fresh_norm_puts_back_what_it_took():
    """The scale begins near one, the shift near zero."""
    norm = _RescaleNorm(6)
    features = 3 + 2 * torch.randn(1, 6, 16, 16)
    _, scale, shift = norm(features)
    assert scale.mean().item() == pytest.approx(1, abs=0.2) and shift.abs().max().item() < 0.3


def test_folding_changes_nothing(backbone):
    """The bias of each offset becomes a constant."""
    restorer = build({"backbone": {"name": "dehazeformer", **SMALL}, "head": {"name": "degradation"}}).eval()
    restorer.backbone.load_state_dict(backbone.state_dict())
    folded, image = fold(restorer), torch.rand(1, 3, 37, 41)
    torch.testing.assert_close(folded(image).image, restorer(image).image)
    assert not any("offset_bias.hidden" in name for name in folded.state_dict())


@pytest.mark.parametrize(
    "option",
    [
        {"widths": (8, 8, 12, 8, 8)},
        {"depths": (1, 2, 4, 1, 1)},
        {"heads": (1, 4, 3, 1, 1)},
        {"attention": (0.0, 1.0, 0.75, 0.0, 0.0)},
        {"expansions": (2.0, 4.0, 2.0, 2.0, 2.0)},
        {"window": 6},
        {"convolution": "dense"},
    ],
    ids=str,
)
def test_every_option_does_something(differ, option):
    """Another number of parameters, or another output with the same ones."""
    assert differ(DehazeFormer(**SMALL), DehazeFormer(**{**SMALL, **option}))


@pytest.mark.parametrize(
    "options",
    [
        {"widths": (4, 8, 12, 8, 6)},
        {"depths": (1, 1, 1)},
        {"heads": (3, 2, 3, 1, 1)},
        {"attention": (0.0, 0.5, 2.0, 0.0, 0.0)},
        {"expansions": (0.5, 1.0, 1.0, 1.0, 1.0)},
        {"window": 3},
        {"window": 0},
    ],
    ids=str,
)
def test_impossible_options_are_told(options):
    """With the name of the backbone and of the option."""
    with pytest.raises(ValueError, match=r"^dehazeformer: "):
        DehazeFormer(**{**SMALL, **options})
