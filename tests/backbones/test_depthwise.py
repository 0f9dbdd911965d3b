"""Depthwise convolution: the function and the gradients of torch's own, by whatever way they are computed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones._depthwise import DepthwiseConv2d, DilatedDepthwiseConv2d


def plain(layer):
    """Torch's own convolution with the weights of this one."""
    conv = nn.Conv2d(
        *(layer.in_channels, layer.out_channels, layer.kernel_size),
        padding=layer.padding,
        groups=layer.groups,
        padding_mode=layer.padding_mode,
    )
    conv.load_state_dict(layer.state_dict())
    return conv


def gradients(layer, features, pull):
    """Return the output of a layer, and the gradients of features and parameters for the output's gradient `pull`."""
    features = features.clone(memory_format=torch.preserve_format).requires_grad_()
    output = layer(features)
    return output, *torch.autograd.grad(output, (features, *layer.parameters()), pull)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([1, 3, 5, 7]),
    st.sampled_from(["reflect", "zeros"]),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
    st.integers(1, 3),
    st.integers(1, 20),
    st.tuples(st.integers(4, 20), st.integers(4, 20)),
)
def test_depthwise_output_and_gradients_are_those_of_torch(kernel_size, padding, layout, batch, channels, side):
    """Output and the gradients of features, weights and bias agree to 1e-5 of the largest value."""
    torch.manual_seed(batch)
    layer = DepthwiseConv2d(channels, kernel_size, padding).to(memory_format=layout)
    features, pull = torch.randn(2, batch, channels, *side).unbind()
    features, pull = (one.contiguous(memory_format=layout) for one in (features, pull))
    expected = gradients(plain(layer).to(memory_format=layout), features, pull)
    for ours, theirs in zip(gradients(layer, features, pull), expected, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * max(1, theirs.abs().max())


def test_depthwise_gradient_goes_by_strips():
    """Training on a CPU takes the quick way with five columns, and torch's own where it is as quick or not wanted."""
    features = torch.zeros(1, 2, 8, 8)
    wide, narrow = DepthwiseConv2d(2, 5, "zeros"), DepthwiseConv2d(2, 3, "zeros")
    assert "Filters" in wide(features).grad_fn.name()
    assert "Convolution" in narrow(features).grad_fn.name()
    wide.weight.requires_grad_(False)
    assert "Convolution" in wide(features).grad_fn.name()


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_depthwise_can_be_differentiated_twice(padding):
    """First and second derivatives agree with finite differences in double precision."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(2, 5, padding).double()
    features = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)

    def output(features, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, features)

    weights = (layer.weight, layer.bias)
    assert torch.autograd.gradcheck(output, (features, *weights))
    assert torch.autograd.gradgradcheck(output, (features, *weights))


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_depthwise_under_autocast_gives_what_torch_gives(padding):
    """Under bfloat16 autocast output and gradients have torch's types, and values within its rounding."""
    torch.manual_seed(0)
    layer, features = DepthwiseConv2d(8, 5, padding), torch.randn(2, 8, 16, 16)
    pull = torch.randn(2, 8, 16, 16).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = gradients(layer, features, pull), gradients(plain(layer), features, pull)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


@pytest.mark.slow
def test_depthwise_compiles():
    """Compiled whole, it gives the same gradients."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(4, 5, "reflect")
    features, pull = torch.randn(2, 2, 4, 12, 12).unbind()
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(gradients_of(compiled, layer, features, pull), gradients(layer, features, pull))


def gradients_of(call, layer, features, pull):
    """Return the same for a compiled call of a layer."""
    features = features.clone().requires_grad_()
    output = call(features)
    return output, *torch.autograd.grad(output, (features, *layer.parameters()), pull)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    ("channels", "dilation", "side"), [(16, 4, 32), (16, 9, 32), (24, 2, 31), (64, 9, 16), (8, 1, 16)]
)
def test_gradients_of_dilated_filters_under_bfloat16_are_near_the_exact_ones(channels, dilation, side, layout):
    """Within 2 % in every layout, whatever the CPU: kernels of some leave the gradient of the weights unwritten."""
    torch.manual_seed(0)
    layer = DilatedDepthwiseConv2d(channels, dilation)
    features, pull = torch.rand(2, channels, side, side), torch.randn(2, channels, side, side)
    exact = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels).double()
    exact.load_state_dict(layer.state_dict())
    expected = gradients(exact, features.double(), pull.double())
    layer = layer.to(memory_format=layout)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, *grads = gradients(layer, features.contiguous(memory_format=layout), pull.bfloat16())
    assert output.dtype == torch.bfloat16
    for ours, theirs in zip((output, *grads[:2]), expected[:3], strict=True):
        assert (ours - theirs).norm() <= 0.02 * theirs.norm()
