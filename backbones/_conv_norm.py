"""A convolution with batch normalisation behind it, and how the two become one for inference."""

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNorm(nn.Module):
    """Convolution, then batch normalisation of its channels."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features; in training by the statistics of the batch, in evaluation by the running ones."""
        return self.norm(self.conv(features))

    def folded(self) -> nn.Conv2d:
        """A new convolution that computes what this module computes in eval mode.

        Exact at the border too: normalisation comes after the convolution, so its padding sees the same values.
        """
        frozen = copy.deepcopy(self).eval()
        return fuse_conv_bn_eval(frozen.conv, frozen.norm)


def start_as_he(network: nn.Module) -> None:
    """He's normal initialisation for rectifiers in every 3x3 convolution of a network, biases zero.

    torch's default loses five sixths of the variance in every convolution with ReLU: after the 20 of DnCNN without
    normalisation the biases are all that is left.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
