"""Kernel basis attention: a 3x3 convolution whose kernel is another mixture of learned kernels at every pixel."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

GROUP = 4
"""Channels of a group: each output channel sees those of its own group."""
SEEN = GROUP * 9
"""Values that one output channel sees at a pixel."""
STRIP_PIXELS_CPU = 1024
"""Pixels worked on at once on the CPU: their kernels stay in its second-level cache (measured best: 1024 to 2048)."""
STRIP_PIXELS = 1 << 16
"""The same elsewhere: bounds the memory, and is large enough to fill a device."""


class KernelBasis(nn.Module):
    """Learned kernels and biases, `bases` of each, mixed at every pixel by given coefficients (paper, section 3.1).

    The kernels of all pixels, `H W channels * 36` numbers, never exist together: strips of whole rows are worked on one
    after the other, and in training the backward pass makes those of a strip anew.
    """

    def __init__(self, channels: int, bases: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.empty(1, bases, channels * SEEN))
        self.biases = nn.Parameter(torch.empty(1, bases, channels))
        bound = (bases * channels * SEEN) ** -0.5
        nn.init.uniform_(self.kernels, -bound, bound)
        nn.init.uniform_(self.biases, -bound, bound)

    def forward(self, features: Tensor, coefficients: Tensor) -> Tensor:
        """Features `B C H W`, channels last, of features `B C H W` and coefficients `B bases H W`."""
        beyond = F.pad(features, (0, 0, 1, 1))
        if torch.compiler.is_compiling():  # the number of strips would be baked into the graph
            return _mixed(beyond, coefficients, self.kernels, self.biases)
        rows = _strip_rows(features)
        strips = [
            self._strip(beyond[:, :, top : top + rows + 2], coefficients[:, :, top : top + rows])
            for top in range(0, features.shape[2], rows)
        ]
        return torch.cat(strips, 2) if len(strips) > 1 else strips[0]

    def scaled(self, scale: Tensor) -> "KernelBasis":
        """A new module whose features are those of this one times a scale per channel."""
        basis = copy.deepcopy(self)
        per_channel = scale.detach().flatten()
        basis.kernels = nn.Parameter(self.kernels.detach() * per_channel.repeat_interleave(SEEN))
        basis.biases = nn.Parameter(self.biases.detach() * per_channel)
        return basis

    def _strip(self, features: Tensor, coefficients: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            weights = (self.kernels, self.biases)
            return checkpoint(_mixed, features, coefficients, *weights, use_reentrant=False, preserve_rng_state=False)
        return _mixed(features, coefficients, self.kernels, self.biases)


def _mixed(features: Tensor, coefficients: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """Features of the rows that coefficients have; those given have one row more on each side."""
    batch, channels, _, width = features.shape
    bases = coefficients.shape[1]
    # Pixels last: the product below and its sum then run along contiguous memory.
    mixture = coefficients.reshape(batch, bases, -1).contiguous()
    kernel = (kernels.transpose(1, 2) @ mixture).view(batch, channels // GROUP, GROUP, SEEN, -1)
    seen = F.unfold(features, 3, padding=(0, 1)).view(batch, channels // GROUP, 1, SEEN, -1)
    # In place where no backward pass needs the kernel: a quarter less time, as half as much has to stay in the cache.
    product = kernel * seen if torch.is_grad_enabled() else kernel.mul_(seen)
    mixed = product.sum(3).view(batch, channels, -1) + biases.transpose(1, 2) @ mixture
    return mixed.view(batch, channels, -1, width).contiguous(memory_format=torch.channels_last)


def _strip_rows(features: Tensor) -> int:
    batch, _, _, width = features.shape
    pixels = STRIP_PIXELS_CPU if features.device.type == "cpu" else STRIP_PIXELS
    return max(1, pixels // (batch * width))
