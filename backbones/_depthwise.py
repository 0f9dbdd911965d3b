"""Depthwise convolution whose weight gradient is quick on a CPU as well.

oneDNN, which torch uses there, has a kernel for the weight gradient of depthwise convolutions that takes at most three
columns of weights. For wider ones it falls back on that of dense convolutions. For 5x5 this takes two to three times
the processor time in float32 (24 channels at 128 x 128, 48 at 64 x 64) and over ten times in bfloat16. Here the
gradient of a wider one is put together from strips.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIP_COLUMNS = 3
"""Columns of weights that the quick kernel takes at once (oneDNN 3.13, `jit_dw` backward by weights)."""


class DepthwiseConv2d(nn.Conv2d):
    """One filter with bias for each channel, and output as large as the input.

    Weights, initialisation, function and gradients are those of `nn.Conv2d` with as many groups as channels; only the
    order in which a weight's gradient is summed differs.
    """

    def __init__(self, channels: int, kernel_size: int, padding: Literal["reflect", "zeros"]) -> None:
        """`kernel_size`: side of the filters in pixels, odd. `padding`: what lies beyond the border."""
        half = kernel_size // 2
        super().__init__(channels, channels, kernel_size, padding=half, groups=channels, padding_mode=padding)
        self._pad_sides = (half,) * 4
        self._pad_mode = "constant" if padding == "zeros" else padding

    def forward(self, input: Tensor) -> Tensor:
        """Features of the shape of the input, `B C H W`."""
        if not _is_quicker_in_strips(input, self.weight):
            return super().forward(input)
        padded = F.pad(input, self._pad_sides, self._pad_mode)
        # Autocast does not reach the gradient of a function of one's own, and reflection leaves it in float32.
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else padded.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return _Filters.apply(padded.to(dtype), self.weight.to(dtype), bias)


def _is_quicker_in_strips(input: Tensor, weight: Tensor) -> bool:
    """Told by the kind of tensors, never by a trial: training that is resumed must compute what it would have."""
    is_training = torch.is_grad_enabled() and weight.requires_grad and not torch.compiler.is_exporting()
    return is_training and input.device.type == "cpu" and weight.shape[3] > STRIP_COLUMNS


class _Filters(torch.autograd.Function):
    """Depthwise convolution of features `B C H W` that are padded already."""

    @staticmethod
    def forward(padded: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(padded, weight, bias, groups=len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        padded, weight, _ = inputs
        ctx.save_for_backward(padded, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (of_output,) = grad_outputs
        padded, weight = ctx.saved_tensors
        wants_input, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            _gradients(of_output, padded, weight, "input") if wants_input else None,
            _weight_gradient(of_output, padded, weight) if wants_weight else None,
            of_output.sum((0, 2, 3)) if wants_bias else None,
        )


def _weight_gradient(of_output: Tensor, padded: Tensor, weight: Tensor) -> Tensor:
    width = of_output.shape[3]
    strips: list[Tensor] = []
    for left in range(0, weight.shape[3], STRIP_COLUMNS):
        strip = weight[..., left : left + STRIP_COLUMNS]
        seen = padded[..., left : left + width + strip.shape[3] - 1]
        strips.append(_gradients(of_output, seen, strip, "weight"))
    return torch.cat(strips, dim=3)


def _gradients(of_output: Tensor, padded: Tensor, weight: Tensor, of: Literal["input", "weight"]) -> Tensor:
    """Gradient of one of the two. Not by `torch.nn.grad`, which makes a tensor as large as that one to do it."""
    mask = [of == "input", of == "weight", False]
    stride, padding, dilation, output_padding = [1, 1], [0, 0], [1, 1], [0, 0]
    found = torch.ops.aten.convolution_backward(
        *(of_output, padded, weight, None, stride, padding, dilation, False, output_padding, len(weight), mask)
    )
    return found[0] if of == "input" else found[1]
