"""Kernel basis attention: every pixel is convolved with its own mixture of learned kernels (KBNet, section 3.1)."""

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from backbones._folding import scale_after
from backbones._naf_unet import SimpleGate, add_scaled, channel_scale

SCALE_START = 1e-2
KERNEL_PIXELS = 9
"""Pixels of a mixed kernel, 3x3."""
STRIP_PIXELS_CPU = 1024
"""Pixels per strip on the CPU: their kernels fit its second-level cache (fastest when measured: 1024 to 2048)."""
STRIP_PIXELS = 1 << 16
"""Pixels per strip on other devices: few enough to bound the memory, enough to fill the device."""


def depthwise(channels: int, bias: bool) -> nn.Conv2d:
    """Return a depthwise 3x3 convolution."""
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=bias)


class KernelMixing(nn.Module):
    """Product of three branches: a plain convolution, kernel basis attention with a skip, and channel attention.

    Subclasses call `add_kernel_mixing` and project the product.
    """

    def add_kernel_mixing(
        self,
        channels: int,
        hidden: int,
        inner: int,
        bases: int,
        group: int,
        bias: bool = True,
        make_local: Callable[[int, bool], nn.Conv2d] = depthwise,
    ) -> None:
        """Create the layers of the three branches.

        Args:
            channels: channels of the block.
            hidden: channels of the branches.
            inner: channels of the first convolution that predicts the coefficients, a divisor of `channels`.
            bases: number of learned kernels.
            group: channels per group of a mixed kernel: each output channel sees the channels of its own group.
            bias: whether the convolutions of the first two branches have a bias.
            make_local: makes the second convolution of the plain branch from its channels and `bias`.
        """
        self.attention = nn.Conv2d(channels, hidden, 1)
        self.local = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=bias), make_local(hidden, bias))
        self.coefficient_spatial = nn.Conv2d(channels, inner, 3, padding=1, groups=inner)
        self.coefficient_gate = SimpleGate()
        self.coefficient_expand = nn.Conv2d(inner // 2, bases, 1)
        self.coefficient_direct = nn.Conv2d(channels, bases, 1)
        self.coefficient_scale: nn.Parameter | None = channel_scale(bases, SCALE_START)
        self.expand = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=bias), depthwise(hidden, bias))
        self.basis = KernelBasis(hidden, bases, group)
        self.basis_scale: nn.Parameter | None = channel_scale(hidden, SCALE_START)

    def mix_kernels(self, normed: Tensor, activation: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the product `B hidden H W` of normalised features `B C H W`.

        Args:
            normed: normalised features.
            activation: of the plain branch; None for none.
        """
        attention = self.attention(normed.mean((2, 3), keepdim=True))
        expanded = self.expand(normed)
        coefficients = self.coefficient_expand(self.coefficient_gate(self.coefficient_spatial(normed)))
        coefficients = add_scaled(self.coefficient_direct(normed), coefficients, self.coefficient_scale)
        based = self.basis(expanded, coefficients)
        local = self.local(normed)
        local = local if activation is None else activation(local)
        return add_scaled(expanded, based, self.basis_scale) * local * attention

    def fold_kernel_mixing(self) -> None:
        """Fold the scales in place; a norm before keeps its weights because a padded 3x3 convolution follows it."""
        if self.basis_scale is not None and self.coefficient_scale is not None:
            self.coefficient_expand = scale_after(self.coefficient_expand, self.coefficient_scale)
            self.basis = self.basis.scaled(self.basis_scale)
            self.basis_scale = self.coefficient_scale = None


class KernelBasis(nn.Module):
    """Learned 3x3 kernels and biases, `bases` of each, mixed at every pixel by given coefficients.

    The kernels of all pixels, `H W channels * group * 9` numbers, never exist at once: strips of whole rows are
    processed one after the other, and the backward pass computes the kernels of a strip again.
    """

    def __init__(self, channels: int, bases: int, group: int) -> None:
        super().__init__()
        self.group = group
        self.kernels = nn.Parameter(torch.empty(1, bases, channels * group * KERNEL_PIXELS))
        self.biases = nn.Parameter(torch.empty(1, bases, channels))
        bound = (bases * channels * group * KERNEL_PIXELS) ** -0.5
        nn.init.uniform_(self.kernels, -bound, bound)
        nn.init.uniform_(self.biases, -bound, bound)

    def forward(self, features: Tensor, coefficients: Tensor) -> Tensor:
        """Return features `B C H W`, channels last, from features `B C H W` and coefficients `B bases H W`."""
        padded = F.pad(features, (0, 0, 1, 1))
        mix: Callable[..., Tensor] = partial(_mix_kernels, self.group)
        if torch.compiler.is_compiling():  # a graph would fix the number of strips
            return mix(padded, coefficients, self.kernels, self.biases)
        pixels = STRIP_PIXELS_CPU if features.device.type == "cpu" else STRIP_PIXELS
        rows = max(1, pixels // (len(features) * features.shape[3]))
        if self.training and torch.is_grad_enabled():
            mix = partial(checkpoint, mix, use_reentrant=False, preserve_rng_state=False)
        strips = [
            mix(padded[:, :, top : top + rows + 2], coefficients[:, :, top : top + rows], self.kernels, self.biases)
            for top in range(0, features.shape[2], rows)
        ]
        return torch.cat(strips, 2) if len(strips) > 1 else strips[0]

    def scaled(self, scale: Tensor) -> "KernelBasis":
        """Return a module that multiplies the features of this one by a scale per channel."""
        basis = copy.deepcopy(self)
        per_channel = scale.detach().flatten()
        per_value = per_channel.repeat_interleave(self.group * KERNEL_PIXELS)
        basis.kernels = nn.Parameter(self.kernels.detach() * per_value)
        basis.biases = nn.Parameter(self.biases.detach() * per_channel)
        return basis


def _mix_kernels(group: int, features: Tensor, coefficients: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """Return features of the rows of `coefficients`; `features` has one more row at the top and at the bottom."""
    batch, channels, _, width = features.shape
    bases, values = coefficients.shape[1], group * KERNEL_PIXELS
    # Pixels come last, so that the product and the sum below run along contiguous memory.
    mixture = coefficients.reshape(batch, bases, -1).contiguous()
    kernel = (kernels.transpose(1, 2) @ mixture).view(batch, channels // group, group, values, -1)
    neighbours = F.unfold(features, 3, padding=(0, 1)).view(batch, channels // group, 1, values, -1)
    # In place where no backward pass needs the kernel: a quarter faster, because half as much stays in the cache.
    product = kernel * neighbours if torch.is_grad_enabled() else kernel.mul_(neighbours)
    mixed = product.sum(3).view(batch, channels, -1) + biases.transpose(1, 2) @ mixture
    return mixed.view(batch, channels, -1, width).contiguous(memory_format=torch.channels_last)
