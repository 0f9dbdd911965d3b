"""Depthwise convolutions whose weight gradient on the CPU is fast and, with dilation in half precision, right.

On the CPU torch uses oneDNN, whose kernel for the weight gradient of depthwise convolutions takes at most three columns
of weights. For wider filters it falls back on the kernel of dense convolutions. For 5x5 filters this takes two to three
times the processor time in float32 (24 channels at 128 x 128, 48 at 64 x 64) and over ten times in bfloat16. Here the
gradient of wider filters is computed strip by strip.

With dilation, that kernel (oneDNN 3.12 in torch 2.14.1) leaves the weight gradient in bfloat16 unwritten where features
are channels-last and the CPU has AVX-512: the gradient is what the memory held before, and some sizes crash. In float32
it is right.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones._layers import without_autocast

STRIP_COLUMNS = 3
"""Columns of weights that the fast kernel takes at once (oneDNN 3.13, `jit_dw` backward by weights)."""


class DepthwiseConv2d(nn.Conv2d):
    """Convolution with one filter and bias per channel, and output as large as the input.

    Weights, initialisation, function and gradients are those of `nn.Conv2d` with as many groups as channels; only the
    order of summation in the weight gradient differs.

    Args:
        channels: number of channels.
        kernel_size: side of the filters in pixels, odd.
        padding: how the features are continued beyond the border.
    """

    def __init__(self, channels: int, kernel_size: int, padding: Literal["reflect", "zeros"]) -> None:
        half = kernel_size // 2
        super().__init__(channels, channels, kernel_size, padding=half, groups=channels, padding_mode=padding)
        self._pad_sides = (half,) * 4
        self._pad_mode = "constant" if padding == "zeros" else padding

    def forward(self, input: Tensor) -> Tensor:
        """Return features of the shape of the input, `B C H W`."""
        if not _is_faster_in_strips(input, self.weight):
            return super().forward(input)
        padded = F.pad(input, self._pad_sides, self._pad_mode)
        dtype = _compute_dtype(padded)  # autocast does not reach custom gradients; padding by reflection gives float32
        bias = None if self.bias is None else self.bias.to(dtype)
        return _Filters.apply(padded.to(dtype), self.weight.to(dtype), bias)


class DilatedDepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution with dilation, zero padding and output as large as the input; see above.

    Weights, initialisation and function are those of `nn.Conv2d`. In training on a CPU it computes in float32.

    Args:
        channels: number of channels.
        dilation: distance in pixels of the neighbours that a filter weights; filters are 3x3.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels)

    def forward(self, input: Tensor) -> Tensor:
        """Return features of the shape of the input, `B C H W`."""
        if not _is_trained_on_cpu(input, self.weight) or self.dilation == (1, 1):
            return super().forward(input)
        dtype = _compute_dtype(input)
        with without_autocast(input):
            exact = torch.promote_types(input.dtype, torch.float32)
            bias = None if self.bias is None else self.bias.to(exact)
            return self._conv_forward(input.to(exact), self.weight.to(exact), bias).to(dtype)


def _is_faster_in_strips(input: Tensor, weight: Tensor) -> bool:
    """Decide from the kind of tensors, never from a timing: resumed training must compute the same gradients."""
    return _is_trained_on_cpu(input, weight) and weight.shape[3] > STRIP_COLUMNS


def _is_trained_on_cpu(input: Tensor, weight: Tensor) -> bool:
    is_training = torch.is_grad_enabled() and weight.requires_grad and not torch.compiler.is_exporting()
    return is_training and input.device.type == "cpu"


def _compute_dtype(features: Tensor) -> torch.dtype:
    """Return the type in which torch convolves features on the CPU: that of autocast, else their own."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype


class _Filters(torch.autograd.Function):
    """Depthwise convolution of padded features `B C H W`, with the weight gradient in strips."""

    @staticmethod
    def forward(padded: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(padded, weight, bias, groups=len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (output_gradient,) = grad_outputs
        padded, weight = ctx.saved_tensors
        needs_input, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _gradient(output_gradient, padded, weight, "input") if needs_input else None,
            _weight_gradient(output_gradient, padded, weight) if needs_weight else None,
            output_gradient.sum((0, 2, 3)) if needs_bias else None,
        )


def _weight_gradient(output_gradient: Tensor, padded: Tensor, weight: Tensor) -> Tensor:
    seen = output_gradient.shape[3] + STRIP_COLUMNS - 1  # columns of the features under one strip of the weights
    strips = [
        _gradient(output_gradient, padded[..., left : left + seen], weight[..., left : left + STRIP_COLUMNS], "weight")
        for left in range(0, weight.shape[3], STRIP_COLUMNS)
    ]
    return torch.cat(strips, dim=3)


def _gradient(output_gradient: Tensor, padded: Tensor, weight: Tensor, of: Literal["input", "weight"]) -> Tensor:
    """Return the gradient of input or weight; unlike `torch.nn.grad`, allocate no second tensor of that size."""
    mask = [of == "input", of == "weight", False]
    stride, padding, dilation, output_padding = [1, 1], [0, 0], [1, 1], [0, 0]
    gradients = torch.ops.aten.convolution_backward(
        *(output_gradient, padded, weight, None, stride, padding, dilation, False, output_padding, len(weight), mask)
    )
    return gradients[0] if of == "input" else gradients[1]
