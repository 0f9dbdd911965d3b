"""PLKSR (Lee et al., 2024): partial large kernels, a wide dense convolution on a part of the channels.

All at full resolution, without normalisation. Its form for real-world degradations, RealPLKSR, has another activation
and normalises each block. Unlike the authors' network, ours restores an image of the same size, without upsampling.
"""

import re
from collections.abc import Collection
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backbones import Backbone, Published, Renames, Sizes
from backbones._layers import check_option, check_positive

NORM_GROUPS = 4
INITIAL_STD = 0.02
"""Deviation of the initial weights."""
BLOCK_PARTS = {
    r"channe(?:l)?_mixer\.0": "expand",
    r"channe(?:l)?_mixer\.2": "contract",
    r"lk\.conv": "large",
    r"attn\.f\.0": "attention",
    "refine": "refine",
    "norm": "norm",
}
"""Patterns of the parts of a block in the reference implementations, and their names here."""


def _renames(official: Collection[str]) -> Renames:
    """Return the rules of renaming: official names number stem, blocks and the last convolution, the head's, alike."""
    matches = [re.match(r"feats\.(\d+)\.", key) for key in official]
    last = max((int(match[1]) for match in matches if match), default=0)
    return (
        (r"feats\.0\.(\w+)", r"backbone.stem.\1"),
        (rf"feats\.{last}\.(\w+)", r"head.conv.\1"),
        *(
            (rf"feats\.{block + 1}\.{theirs}\.(\w+)", rf"backbone.blocks.{block}.{ours}.\1")
            for block in range(last - 1)
            for theirs, ours in BLOCK_PARTS.items()
        ),
    )


class PLKSR(Backbone):
    """Blocks of channel mixing, partial large kernel and attention per element (paper, section 3 and figure 2).

    The features are those before the last convolution, `width` channels. The published network ends in a convolution
    and a pixel shuffle to a larger image, and adds the repeated pixels of the image; at equal size this is head
    `residual`.

    Args:
        width: channels.
        depth: blocks.
        kernel_size: side of the large kernels in pixels, odd.
        share: share of the channels that the large kernels filter; the others pass by.
        attention: multiply the features by a map per element, made by a 3x3 convolution.
        form: "plksr" for the paper's blocks; "realplksr" for Mish instead of GELU and group normalisation at the end
            of each block. The statistics are those of the whole image.
        dropout: share of the channels of the features that is set to zero in training.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{lee2024partial,
  title = {Partial Large Kernel {CNNs} for Efficient Super-Resolution},
  author = {Lee, Dongheon and Yun, Seokju and Ro, Youngmin},
  journal = {arXiv preprint arXiv:2404.11848},
  year = {2024}
}"""
    origin = (
        "arXiv:2404.11848; reference implementations dslisleedh/PLKSR@f0548687 (MIT) and, of RealPLKSR, "
        "neosr-project/neosr@31c70226 (Apache-2.0), whose weights fit after renaming where they were trained at "
        "upscaling factor 1. Sizes plksr, plksr_tiny and realplksr, realplksr_s, realplksr_l are the published trunks, "
        "without their upsampler; small and tiny are our choices. The RealPLKSR of traiNNer-redux has another "
        "normalisation, and its weights do not fit. Left out are other channel mixers and sparse large kernels of the "
        "paper's ablations. Nothing can be folded."
    )
    sizes: ClassVar[Sizes] = {
        "plksr": {"width": 64, "depth": 28},
        "plksr_tiny": {"width": 64, "depth": 12, "kernel_size": 13, "attention": False},
        "realplksr": {"width": 64, "depth": 28, "form": "realplksr"},
        "realplksr_s": {"width": 64, "depth": 12, "kernel_size": 13, "attention": False, "form": "realplksr"},
        "realplksr_l": {"width": 96, "depth": 28, "form": "realplksr"},
        "small": {"width": 32, "depth": 6, "kernel_size": 13},
        "tiny": {"width": 16, "depth": 4, "kernel_size": 9},
    }
    published = Published(keys=_renames, head={"name": "residual", "padding": "zeros"})

    def __init__(
        self,
        width: int = 64,
        depth: int = 28,
        kernel_size: int = 17,
        share: float = 0.25,
        attention: bool = True,
        form: Literal["plksr", "realplksr"] = "plksr",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("plksr", width=width, depth=depth)
        check_option("plksr", "kernel_size", kernel_size, kernel_size >= 1 and kernel_size % 2 == 1, "it must be odd")
        check_option("plksr", "dropout", dropout, 0 <= dropout < 1, "it must be at least 0 and below 1")
        check_option(
            *("plksr", "share", share, 1 <= int(width * share) <= width),
            requirement=f"it must be at most 1, and at least 1 channel of width ({width})",
        )
        is_real = form == "realplksr"
        check_option(
            *("plksr", "width", width, not is_real or width % NORM_GROUPS == 0),
            requirement=f"in form realplksr it must be a multiple of {NORM_GROUPS}",
        )
        filtered = int(width * share)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        nn.init.trunc_normal_(self.stem.weight, std=INITIAL_STD)
        self.blocks = nn.Sequential(
            *[_Block(width, filtered, kernel_size, attention=attention, is_real=is_real) for _ in range(depth)]
        )
        self.dropout = nn.Dropout2d(dropout)

        self.out_channels = width

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]."""
        return self.dropout(self.blocks(self.stem(image)))


class _Block(nn.Module):
    """Channel mixing, large kernel on the first channels, attention, 1x1 convolution; added to the input."""

    def __init__(self, width: int, filtered: int, kernel_size: int, *, attention: bool, is_real: bool) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.activation = nn.Mish() if is_real else nn.GELU()
        self.contract = nn.Conv2d(2 * width, width, 3, padding=1)
        self.large = nn.Conv2d(filtered, filtered, kernel_size, padding=kernel_size // 2)
        self.attention = nn.Conv2d(width, width, 3, padding=1) if attention else None
        self.refine = nn.Conv2d(width, width, 1)
        self.norm = nn.GroupNorm(NORM_GROUPS, width) if is_real else None
        for conv in (self.contract, self.large, self.attention, self.refine):
            if conv is not None:
                nn.init.trunc_normal_(conv.weight, std=INITIAL_STD)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.contract(self.activation(self.expand(features)))
        filtered, passed = inner.tensor_split((self.large.in_channels,), dim=1)
        inner = torch.cat((self.large(filtered), passed), dim=1)
        if self.attention is not None:
            inner = inner * torch.sigmoid(self.attention(inner))
        inner = self.refine(inner)
        return features + (inner if self.norm is None else self.norm(inner))
