"""Uformer (Wang et al., CVPR 2022): a U-Net of transformer blocks with attention inside windows.

Every second block of a stage shifts its windows; a depthwise convolution in the feed-forward half mixes neighbours. The
authors' network takes squares only; ours takes rectangles, and has no stochastic depth in training.
"""

import re
from collections.abc import Collection
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Renames, Sizes
from backbones._layers import check_depths, check_option, check_positive
from backbones._unet import level_channels, unet_forward
from backbones._window_attention import WindowAttention, linear

OFFICIAL_PARTS = {
    "norm1": "attention_norm",
    "attn.qkv.to_q": "attention.query",
    "attn.qkv.to_kv": "attention.key_value",
    "attn.proj": "attention.project",
    "attn.relative_position_bias_table": "attention.offset_bias",
    "modulator.weight": "modulator",
    "norm2": "feed_forward_norm",
    "mlp.linear1.0": "feed_forward.expand",
    "mlp.dwconv.0": "feed_forward.depthwise",
    "mlp.linear2.0": "feed_forward.project",
}
"""Names of the parts of a block: in the reference implementation, and here."""


def _renames(official: Collection[str]) -> Renames:
    """Return the rules of renaming: official stages are named by kind and counted as they run; ours are one list."""
    levels = sum(re.fullmatch(r"dowsample_\d+\.conv\.0\.weight", key) is not None for key in official)
    stages = {f"encoderlayer_{i}": i for i in range(levels)} | {"conv": levels}
    stages |= {f"decoderlayer_{i}": levels + 1 + i for i in range(levels)}
    return (
        (r"input_proj\.proj\.0\.(\w+)", r"backbone.stem.0.\1"),
        (r"output_proj\.proj\.0\.(\w+)", r"head.conv.\1"),
        (r"dowsample_(\d+)\.conv\.0\.(\w+)", r"backbone.downs.\1.\2"),
        (r"upsample_(\d+)\.deconv\.0\.(\w+)", r"backbone.ups.\1.\2"),
        *(
            (rf"{theirs}\.blocks\.(\d+)\.{re.escape(part)}(|\.\w+)", rf"backbone.stages.{ours}.\1.{name}\2")
            for theirs, ours in stages.items()
            for part, name in OFFICIAL_PARTS.items()
        ),
    )


class Uformer(Backbone):
    """U-Net of locally-enhanced window transformer blocks (LeWin; paper, section 3 and figure 2).

    Levels double in channels and halve in size; skip connections are concatenated. The features are those before the
    output convolution, `2 * width` channels. Every second block of a stage shifts its windows by half their side.

    Args:
        width: channels of the encoder at full resolution; the decoder has twice as many as the encoder of its level.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        heads: attention heads per stage; each divides its stage's channels.
        window: side of the attention windows in pixels of their level, even.
        expansion: hidden channels of the feed-forward half, as a multiple of the block's.
        modulator: whether decoder blocks add a learned value for every position in a window.
        train_size: side in pixels of the square images that the network is designed for. Stages at which such an image
            fits into one window do not shift, whatever the size of the actual image. It does not change the weights.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{wang2022uformer,
  title = {Uformer: A General U-Shaped Transformer for Image Restoration},
  author = {Wang, Zhendong and Cun, Xiaodong and Bao, Jianmin and Zhou, Wengang and Liu, Jianzhuang and Li, Houqiang},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2022}
}"""
    origin = (
        "arXiv:2106.03106; reference implementation ZhendongWang6/Uformer@65fc970a (MIT), whose weights fit after "
        "renaming and whose output ours equals on squares that need no padding. It takes squares alone, which its "
        "scripts make by centring the image among zeros; ours takes rectangles, with zeros at the right and bottom. "
        "Training is without its stochastic depth. Sizes t, s and b are published; small and tiny are our choices. "
        "Left out is what no published size uses: the cross modulator, projections by convolution, and a feed-forward "
        "half without depthwise convolution."
    )
    sizes: ClassVar[Sizes] = {
        "t": {"width": 16},
        "s": {"width": 32},
        "b": {"width": 32, "depths": (1, 2, 8, 8, 2, 8, 8, 2, 1)},
        "small": {"width": 8, "heads": (1, 1, 2, 4, 8, 8, 4, 2, 1)},
        "tiny": {"width": 8, "depths": (1, 2, 1, 2, 1), "heads": (1, 1, 2, 2, 1), "window": 4, "expansion": 2},
    }
    pad_mode = "zeros"
    published = Published(
        keys=_renames,
        head={"name": "residual", "padding": "zeros"},
        recomputed=(r".*\.relative_position_index",),
    )

    def __init__(
        self,
        width: int = 32,
        depths: tuple[int, ...] = (2,) * 9,
        heads: tuple[int, ...] = (1, 2, 4, 8, 16, 16, 8, 4, 2),
        window: int = 8,
        expansion: int = 4,
        modulator: bool = True,
        train_size: int = 128,
    ) -> None:
        super().__init__()
        check_positive("uformer", width=width, window=window, expansion=expansion, train_size=train_size)
        check_depths("uformer", depths)
        check_option("uformer", "window", window, window % 2 == 0, "it must be even, as blocks shift by half of it")
        levels = len(depths) // 2
        channels = level_channels(width, levels)
        stage_channels = [*channels, *(2 * size for size in reversed(channels[:-1]))]
        pairs = zip(heads, stage_channels, strict=False)
        valid = len(heads) == len(depths) and all(count > 0 and size % count == 0 for count, size in pairs)
        check_option(
            *("uformer", "heads", heads, valid),
            requirement=f"it must hold one integer per stage that divides its channels, which are {stage_channels}",
        )

        def stage(index: int) -> _Stage:
            level = min(index, 2 * levels - index)
            shift = window // 2 if train_size >> level > window else 0
            modulated = modulator and index > levels
            return _Stage(
                *[
                    _Block(stage_channels[index], heads[index], window, shift * (block % 2), expansion, modulated)
                    for block in range(depths[index])
                ]
            )

        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.LeakyReLU())
        self.stages = nn.ModuleList(map(stage, range(len(depths))))
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 4, stride=2, padding=1) for size in channels[:-1])
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2)
            for coarse, fine in zip(stage_channels[levels:-1], reversed(channels[:-1]), strict=True)
        )
        self.out_channels = stage_channels[-1]
        self.multiple_of = self.min_side = window << levels

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B out_channels H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        levels = len(self.downs)
        # Norms and linear layers work on pixels: channels_last makes the permutes of all blocks views.
        return unet_forward(
            self.stem(image).contiguous(memory_format=torch.channels_last),
            self.stages,
            down=lambda level, features: self.downs[level](features),
            join=lambda level, features, skipped: torch.cat((self.ups[levels - 1 - level](features), skipped), dim=1),
        )


class _Stage(nn.Sequential):
    """Blocks on `B H W C`, applied to features `B C H W`."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """Two residual halves on `B H W C`: attention inside windows, then a feed-forward half that sees 3x3 pixels."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, expansion: int, modulated: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.modulator = nn.Parameter(torch.randn(window**2, channels)) if modulated else None
        self.attention = _WindowAttention(channels, heads, window, shift)
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.feed_forward = _FeedForward(channels, expansion * channels)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attention(self.attention_norm(features), self.modulator)
        return features + self.feed_forward(self.feed_forward_norm(features))


class _FeedForward(nn.Module):
    """Linear layers with a depthwise convolution between them (LeFF; paper, section 3.2)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.project = linear(hidden, channels)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.gelu(self.expand(features)).permute(0, 3, 1, 2)
        return self.project(F.gelu(self.depthwise(hidden)).permute(0, 2, 3, 1))


class _WindowAttention(WindowAttention):
    """Query from one linear layer, key and value from another; a modulator is added to the pixels of each window."""

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__(channels, heads, window, shift)
        self.query = linear(channels, channels)
        self.key_value = linear(channels, 2 * channels)

    def forward(self, features: Tensor, modulator: Tensor | None) -> Tensor:
        """Return attended features `B H W C` from normalised ones; add `modulator`, `window^2 C`, to each window."""
        features = self.shifted(features)
        if modulator is not None:
            (batch, height, width, channels), side = features.shape, self.window
            windows = features.reshape(batch, height // side, side, width // side, side, channels)
            features = (windows + modulator.view(side, 1, side, channels)).view(features.shape)
        key, value = self.key_value(features).chunk(2, dim=-1)
        return self.shifted_back(self.attend(self.query(features), key, value))
