"""DnCNN (Zhang et al., IEEE TIP 2017): one plain stack of 3x3 convolutions at full resolution.

The network predicts the residual, with batch normalisation in every layer but the first and the last. Unlike the
authors' code, our head adds the prediction instead of subtracting it, and initial weights are those of the paper (He).
"""

import re
from collections.abc import Collection
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Renames, Sizes
from backbones._layers import ConvNorm, check_option, check_positive, initialise_he

NORM_EPS = 1e-4
NORM_MOMENTUM = 0.9


def _renames(official: Collection[str]) -> Renames:
    """Return the rules of renaming: official names number all layers alike; the last convolution is the head's."""
    matches = [re.fullmatch(r"model\.(\d+)\.weight", key) for key in official]
    numbers = sorted(int(match[1]) for match in matches if match)
    norms = [number for number in numbers if f"model.{number}.running_mean" in official]
    convs = [number for number in numbers if number not in norms]
    names = {convs[-1]: "head.conv"} if convs else {}
    for layer, number in enumerate(convs[:-1]):
        with_norm = number + 1 in norms
        names[number] = f"backbone.layers.{layer}" + (".conv" if with_norm else "")
        if with_norm:
            names[number + 1] = f"backbone.layers.{layer}.norm"
    return tuple((rf"model\.{number}\.(\w+)", rf"{name}.\1") for number, name in names.items())


class DnCNN(Backbone):
    """Stack of convolution, batch normalisation and ReLU (paper, section 3 and figure 1).

    The first convolution has no normalisation. The features are those before the last convolution, `width` channels:
    with head `residual` the network is the paper's. Memory grows with `width` at full resolution, not with `depth`.

    Args:
        width: channels.
        depth: convolutions as the paper counts them, including the last one, which is the head's.
        norm: "batch" for batch normalisation; "none" for the form in which the authors release trained networks, with
            the normalisation merged into the convolutions.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{zhang2017beyond,
  title = {Beyond a {Gaussian} Denoiser: Residual Learning of Deep {CNN} for Image Denoising},
  author = {Zhang, Kai and Zuo, Wangmeng and Chen, Yunjin and Meng, Deyu and Zhang, Lei},
  journal = {IEEE Transactions on Image Processing},
  volume = {26},
  number = {7},
  pages = {3142--3155},
  year = {2017}
}"""
    origin = (
        "arXiv:1608.03981; reference implementation cszn/KAIR@fc1732f4 (MIT), whose weights fit after renaming. The "
        "authors subtract what the network predicts, head residual adds it: the last convolution changes its sign. "
        "Sizes dncnn_s (one noise level) and cdncnn_b (colour, blind) are published for colour images, cdncnn_b as it "
        "was released, without normalisation; the paper trains it with norm: batch. Size small is dncnn_s, which keeps "
        "to 10 MB as it is; tiny is our choice. Initialisation is the paper's (He), not that of KAIR. Grey images and "
        "a noise map as further input (FDnCNN) are left out."
    )
    sizes: ClassVar[Sizes] = {
        "dncnn_s": {"width": 64, "depth": 17, "norm": "batch"},
        "cdncnn_b": {"width": 64, "depth": 20, "norm": "none"},
        "small": {"width": 64, "depth": 17, "norm": "batch"},
        "tiny": {"width": 32, "depth": 9, "norm": "batch"},
    }
    published = Published(keys=_renames, head={"name": "residual", "padding": "zeros"}, head_scale=-1.0)

    def __init__(self, width: int = 64, depth: int = 17, norm: Literal["batch", "none"] = "batch") -> None:
        super().__init__()
        check_positive("dncnn", width=width)
        check_option("dncnn", "depth", depth, depth > 1, "it must be at least 2 (the first convolution and the head's)")
        self.layers = nn.ModuleList([_conv(3, width)])
        self.layers.extend(
            _conv(width, width)
            if norm == "none"
            else ConvNorm(_conv(width, width), nn.BatchNorm2d(width, NORM_EPS, NORM_MOMENTUM))
            for _ in range(depth - 2)
        )
        initialise_he(self)

        self.out_channels = width
        # Batch statistics need more than one pixel.
        self.min_side = 2 if norm == "batch" else 1

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]."""
        features = image
        for layer in self.layers:
            # In place, because memory at full resolution limits the size of an image.
            features = F.relu(layer(features), inplace=True)
        return features


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)
