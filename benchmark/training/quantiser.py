"""Training for 8 bits: the backbone computes with rounded values, and gradients pass straight through the rounding.

The rounding is that of `benchmark.inference.int8`: weights have a scale for each output channel, symmetric about zero,
activations one range for each tensor. Here the range is that of the batch, there that of the calibration images, and
there norms are folded into the weights first. Straight-through estimator: Bengio et al., arXiv:1308.3432; quantised
training of convolutional networks: Jacob et al., CVPR 2018.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from backbones import Backbone, Features
from benchmark.model import Restorer

LEVELS = 255
"""Steps between the smallest and the largest value of a range of 8 bits."""
_SMALLEST_STEP = 1e-12


def with_quantiser(restorer: Restorer) -> Restorer:
    """Return a network whose backbone computes with values rounded to 8 bits; it shares all weights with this one."""
    return Restorer(_RoundedBackbone(restorer.backbone), restorer.head)


def round_activations(features: Tensor) -> Tensor:
    """Return features rounded to 256 values from their smallest to their largest, with 0 among them."""
    with torch.no_grad():
        low, high = features.amin().clamp(max=0), features.amax().clamp(min=0)
        step = ((high - low) / LEVELS).clamp(min=_SMALLEST_STEP)
        zero = (-low / step).round()
    return _straight_through(features, ((features / step + zero).round().clamp(0, LEVELS) - zero) * step)


def round_weights(weight: Tensor, dim: int = 0) -> Tensor:
    """Return weights rounded to 256 values for each index of `dim`, symmetric about 0 up to the largest magnitude."""
    with torch.no_grad():
        others = [other for other in range(weight.ndim) if other != dim]
        step = (2 * weight.abs().amax(others, keepdim=True) / LEVELS).clamp(min=_SMALLEST_STEP)
    return _straight_through(weight, (weight / step).round().clamp(-(LEVELS + 1) // 2, LEVELS // 2) * step)


def _straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    """Return the rounded values with the gradient of the exact ones."""
    return exact + (rounded - exact).detach()


class _RoundedBackbone(Backbone):
    """A backbone inside which convolutions and products with weights see and give rounded values."""

    citation = origin = ""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.inner = backbone
        self.out_channels, self.in_channels = backbone.out_channels, backbone.in_channels
        self.multiple_of, self.min_side = backbone.multiple_of, backbone.min_side
        self.input_range, self.pad_mode = backbone.input_range, backbone.pad_mode  # pyright: ignore[reportAttributeAccessIssue]  # of the class there

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return what the backbone returns."""
        with _Rounding():
            return self.inner(image)


class _Rounding(TorchFunctionMode):
    """Rounds inputs, weights and results of the operations that are carried out in 8 bits."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func not in _OUTPUT_DIM:
            return func(*args, **given)
        features, weight, *others = args if len(args) > 1 else (*args, given.pop("weight"))
        result = func(round_activations(features), round_weights(weight, _OUTPUT_DIM[func]), *others, **given)
        return round_activations(result)


_OUTPUT_DIM: Mapping[Callable[..., Any], int] = {F.conv2d: 0, F.linear: 0, F.conv_transpose2d: 1}
"""Operations, and the dimension of their weights along which output channels lie."""
