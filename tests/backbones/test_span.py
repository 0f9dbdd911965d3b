"""SPAN: equal to the authors' code in both of its forms, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.span import SPAN, ConvChain
from benchmark.model import build
from benchmark.model.published import match_weights
from benchmark.model.restorer import fold

SMALL = {"width": 6, "depth": 2, "expansion": 1}
RGB = {"name": "rgb", "padding": "zeros"}


def convolve(chain, features):
    """The form for training: zeros beyond the border, then one convolution after the other, beside a 1x1 one."""
    inner = chain.first(F.pad(features, (1, 1, 1, 1)))
    return chain.last(chain.middle(inner)) + chain.skip(features)


def restorer_of(golden, **options):
    """Return the network with the authors' head and weights, in eval mode."""
    network = build({"backbone": {"name": "span", **options}, "head": RGB}).eval()
    weights, mismatch = match_weights(golden.weights, network)
    assert not mismatch
    network.load_state_dict(weights)
    return network


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = SPAN(**SMALL)
    randomise(network)
    return network


@pytest.mark.parametrize(
    ("name", "options", "case"),
    [("span_f12_x1", {"width": 12}, ""), ("span_f12_x1", {"width": 12}, "_odd"), ("full/span_c48_x1", {}, "")],
)
def test_span_gives_the_authors_output(load_golden, with_published_weights, name, options, case):
    """With the authors' weights from a file, the restorer gives the authors' output at upscale 1, of odd sides too."""
    golden = load_golden(name)
    restored = with_published_weights("span", options, golden)(golden.tensors[f"input{case}"])
    torch.testing.assert_close(restored, golden.tensors[f"output{case}"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(("name", "options"), [("span_f8_x2", {"width": 8}), ("full/span_c48_x4", {})])
def test_span_gives_the_authors_output_at_a_larger_size(load_golden, upscale_with_published_weights, name, options):
    """The features are those of the published task, too: all of its weights but the last convolution's fit."""
    golden = load_golden(name)
    enlarged = upscale_with_published_weights("span", options, golden, golden.tensors["input"])
    torch.testing.assert_close(enlarged, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_span_gives_the_authors_output_in_training_and_folded(load_golden):
    """Their form for training, and their form for inference, which is ours after folding."""
    golden = load_golden("span_f12_x1")
    network = restorer_of(golden, width=12)
    image = golden.tensors["input"]
    with torch.no_grad():
        in_training = network.train()(image).image
        folded = fold(network)(image).image
    torch.testing.assert_close(in_training, golden.tensors["output_train"], rtol=1e-5, atol=5e-5)
    torch.testing.assert_close(folded, golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_a_folded_convolution_has_the_authors_kernel(load_golden):
    """Weight and bias of each folded convolution are those that the authors store beside the chain."""
    golden = load_golden("span_f12_x1")
    folded = fold(restorer_of(golden, width=12)).backbone
    ours = {
        "conv_1": folded.stem,
        "conv_2": folded.end,
        **{
            f"block_{block + 1}.c{conv + 1}_r": layer
            for block, layers in enumerate(folded.blocks)
            for conv, layer in enumerate(layers.convs)
        },
    }
    assert len(ours) == 20
    for name, conv in ours.items():
        for part in ("weight", "bias"):
            torch.testing.assert_close(getattr(conv, part), golden.weights[f"{name}.eval_conv.{part}"])


def test_span_equals_its_equations(backbone):
    """Chains as they are trained, the attention, and the four features that are joined, written out."""
    image = torch.rand(2, 3, 12, 17)
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    first = convolve(backbone.stem, 255 * (image - mean))
    features, results, inners = first, [], []
    for block in backbone.blocks:
        chains = block.convs
        inner = F.silu(convolve(chains[0], features))
        last = convolve(chains[2], F.silu(convolve(chains[1], inner)))
        features = (last + features) * (torch.sigmoid(last) - 0.5)
        results.append(features)
        inners.append(inner)
    joined = backbone.join(torch.cat((first, convolve(backbone.end, features), results[0], inners[-1]), 1))
    torch.testing.assert_close(backbone(image), joined, rtol=1e-4, atol=1e-4)


def test_a_chain_is_its_convolutions_in_gradients_too():
    """In double precision the result and the gradients of all weights are those of the chain, at the border as well."""
    torch.manual_seed(0)
    chain = ConvChain(3, 5, 2).double()
    features = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    results = chain(features), convolve(chain, features)
    torch.testing.assert_close(*results)
    gradients = [torch.autograd.grad(result.pow(3).sum(), list(chain.parameters())) for result in results]
    torch.testing.assert_close(*gradients)


def test_a_chain_is_multiplied_in_single_precision():
    """In bfloat16, by type or by autocast, its kernel is rounded once, so that training sees what is shipped."""
    torch.manual_seed(0)
    chain = ConvChain(8, 8, 2).bfloat16()
    exact = ConvChain(8, 8, 2)
    exact.load_state_dict(chain.state_dict())
    with torch.no_grad():
        assert torch.equal(chain.product()[0], exact.product()[0].bfloat16())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(exact.product()[0], exact.product()[0].float())
            in_autocast = exact.product()[0]
        assert torch.equal(in_autocast, exact.product()[0])


@pytest.mark.parametrize(("size", "millions", "giga"), [("c48", 0.407, 26.59), ("c52", 0.477, 31.20)])
def test_span_has_the_published_cost(count_macs, size, millions, giga):
    """Folded, with the last convolution at equal size: parameters and multiply-adds at 256 px."""
    network = fold(build({"backbone": {"name": "span", **SPAN.sizes[size]}, "head": RGB}))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 3) == millions
    assert round(count_macs(network, 256) / 1e9, 2) == giga


def test_span_trains_the_published_weights_at_the_cost_of_inference(count_macs):
    """Size c48 trains 1.84 M weights at x4; products of kernels add less than 1 % to the multiply-adds of a forward."""
    with torch.device("meta"):
        backbone = SPAN(**SPAN.sizes["c48"])
        network = nn.Sequential(backbone, nn.Conv2d(48, 3 * 4**2, 3, padding=1))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 3) == 1.840
    assert count_macs(backbone, 256) < 1.01 * 26.59e9


@pytest.mark.parametrize("change", [{"width": 8}, {"depth": 1}, {"expansion": 2}, {"img_range": 1.0}], ids=str)
def test_every_span_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(SPAN(**SMALL), SPAN(**{**SMALL, **change}))


@pytest.mark.parametrize("option", ["width", "depth", "expansion", "img_range"])
def test_span_refuses_options_that_are_not_positive(option):
    """The message names the option, its value and what is allowed."""
    with pytest.raises(ValueError, match=f"span: {option} is 0; it must be above 0"):
        SPAN(**{**SMALL, option: 0})
