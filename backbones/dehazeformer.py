"""DehazeFormer: a U-Net of window attention and depthwise convolutions with a normalisation that can be undone."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published
from backbones._layers import check_depths, check_positive, initialise_xavier
from backbones._selective_kernel import SelectiveKernel

NORM_EPS = 1e-5
META_WIDTH = 256
"""Hidden width of the network that gives the bias of two pixels from their offset."""
_BLOCK_PARTS = (
    (r"attn\.QK", "query_key"),
    (r"attn\.V", "value"),
    (r"attn\.conv", "convolution"),
    (r"attn\.conv\.0", "convolution.0"),
    (r"attn\.conv\.2", "convolution.2"),
    (r"attn\.proj", "project"),
    (r"attn\.attn\.meta\.0", "offset_bias.hidden"),
    (r"attn\.attn\.meta\.2", "offset_bias.output"),
    (r"norm1\.meta1", "norm.scale"),
    (r"norm1\.meta2", "norm.shift"),
    (r"mlp\.mlp\.0", "expand"),
    (r"mlp\.mlp\.2", "contract"),
)
"""Names of the parts of a block: theirs, ours."""


class DehazeFormer(Backbone):
    """U-Net whose blocks mix pixels by windows of attention, by a convolution, or by both (figure 2).

    Two halvings. The last blocks of a stage have attention, as many as `attention` says. Skip connections are joined by
    a selective kernel, and the decoder's features are added once more. Features are those before the output
    convolution.

    Options:
        widths: channels of the five stages: two of the encoder, the middle, two of the decoder; the last equals the
            first, and so do the second and the fourth.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        attention: share of the blocks of each stage that have attention.
        expansions: hidden channels of the feed-forward part of each stage, as a multiple of its width.
        window: side of the windows in pixels, even.
        convolution: depthwise: one of 5x5 in each block; dense: two of 3x3 with a ReLU between them, which in blocks
            without attention stand alone.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@article{song2023vision,
  title = {Vision Transformers for Single Image Dehazing},
  author = {Song, Yuda and He, Zhuqing and Qian, Hui and Du, Xin},
  journal = {IEEE Transactions on Image Processing},
  volume = {32},
  year = {2023}
}"""
    origin: ClassVar[str] = (
        "arXiv:2204.03883; reference implementation IDKiro/DehazeFormer@5af7c34d (MIT), whose weights fit after "
        "renaming. Sizes t, s, b, d, w, m and l are published; small is t, which keeps within 10 MB, and tiny is our "
        "choice."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "t": {"depths": (4, 4, 4, 2, 2), "attention": (0.0, 0.5, 1.0, 0.0, 0.0)},
        "s": {"depths": (8, 8, 8, 4, 4)},
        "b": {"depths": (16, 16, 16, 8, 8)},
        "d": {"depths": (32, 32, 32, 16, 16)},
        "w": {"widths": (48, 96, 192, 96, 48), "depths": (16, 16, 16, 8, 8)},
        "m": {"depths": (12, 12, 12, 6, 6), "convolution": "dense"},
        "l": {"widths": (48, 96, 192, 96, 48), "depths": (16, 16, 16, 12, 12), "convolution": "dense"},
        "small": {"depths": (4, 4, 4, 2, 2), "attention": (0.0, 0.5, 1.0, 0.0, 0.0)},
        "tiny": {
            "widths": (8, 16, 24, 16, 8),
            "depths": (1, 2, 2, 1, 1),
            "heads": (2, 4, 6, 1, 1),
            "attention": (0.0, 0.5, 1.0, 0.0, 0.0),
            "window": 4,
        },
    }
    input_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "reflect"
    published: ClassVar[Published | None] = Published(
        keys=(
            (r"patch_embed\.proj\.(\w+)", r"backbone.stem.\1"),
            *(
                (rf"layer{stage + 1}\.blocks\.(\d+)\.{theirs}\.(\w+)", rf"backbone.stages.{stage}.\1.{ours}.\2")
                for stage in range(5)
                for theirs, ours in (*_BLOCK_PARTS, ("norm1", "norm"))
            ),
            *((rf"patch_merge{at + 1}\.proj\.(\w+)", rf"backbone.downs.{at}.\1") for at in range(2)),
            *((rf"patch_split{2 - at}\.proj\.0\.(\w+)", rf"backbone.ups.{at}.0.\1") for at in range(2)),
            *((rf"skip{at + 1}\.(\w+)", rf"backbone.skips.{at}.\1") for at in range(2)),
            *((rf"fusion{2 - at}\.mlp\.0\.(\w+)", rf"backbone.fusions.{at}.squeeze.\1") for at in range(2)),
            *((rf"fusion{2 - at}\.mlp\.2\.(\w+)", rf"backbone.fusions.{at}.select.\1") for at in range(2)),
            (r"patch_unembed\.proj\.0\.(\w+)", r"head.conv.\1"),
        ),
        head={"name": "degradation", "gain_channels": 1},
        recomputed=(r".*\.relative_positions",),
        # K*x - B + x of x = 2 I - 1, written in I: the gain stays, and D = -(K + B) / 2.
        head_mix=((1.0, 0.0, 0.0, 0.0), (-0.5, -0.5, 0.0, 0.0), (-0.5, 0.0, -0.5, 0.0), (-0.5, 0.0, 0.0, -0.5)),
    )

    def __init__(
        self,
        widths: tuple[int, ...] = (24, 48, 96, 48, 24),
        depths: tuple[int, ...] = (16, 16, 16, 8, 8),
        heads: tuple[int, ...] = (2, 4, 6, 1, 1),
        attention: tuple[float, ...] = (0.25, 0.5, 0.75, 0.0, 0.0),
        expansions: tuple[float, ...] = (2.0, 4.0, 4.0, 2.0, 2.0),
        window: int = 8,
        convolution: Literal["depthwise", "dense"] = "depthwise",
    ) -> None:
        super().__init__()
        _check_options(widths, depths, heads, attention, expansions, window)

        gain = (8 * sum(depths)) ** -0.25

        def stage(index: int) -> nn.Sequential:
            width, depth, hidden = widths[index], depths[index], int(widths[index] * expansions[index])
            first = depth - attention[index] * depth  # blocks before it have none
            blocks = [
                _Block(width, hidden, heads[index] if at >= first else 0, window, window // 2 * (at % 2), convolution)
                for at in range(depth)
            ]
            for block in blocks:
                block.initialise(gain)
            return nn.Sequential(*blocks)

        self.stem = _reflecting(3, widths[0], 3)
        self.stages = nn.ModuleList(map(stage, range(5)))
        self.downs = nn.ModuleList(nn.Conv2d(widths[at], widths[at + 1], 2, stride=2) for at in range(2))
        self.skips = nn.ModuleList(nn.Conv2d(widths[at], widths[at], 1) for at in range(2))
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(widths[at + 1], 4 * widths[at], 1), nn.PixelShuffle(2)) for at in range(2)
        )
        self.fusions = nn.ModuleList(SelectiveKernel(widths[at]) for at in range(2))

        self.out_channels = widths[-1]
        self.multiple_of = 4
        self.min_side = 4 * _smallest_coarse_side(window)

    def forward(self, image: Tensor) -> Tensor:
        """Features `B widths[-1] H W` of an image `B 3 H W` in [-1, 1]; H and W multiples of `multiple_of`."""
        features = self.stem(image).contiguous(memory_format=torch.channels_last)
        skipped: list[Tensor] = []
        for level in range(2):
            features = self.stages[level](features)
            skipped.append(self.skips[level](features))
            features = self.downs[level](features)
        features = self.stages[2](features)
        for level in (1, 0):
            features = self.ups[level](features)
            features = self.stages[4 - level](features + self.fusions[level](features, skipped[level]))
        return features


class _Block(nn.Module):
    """Mixing of pixels, then of channels, each beside the identity; what attention normalised is undone behind it."""

    def __init__(self, width: int, hidden: int, heads: int, window: int, shift: int, convolution: str) -> None:
        super().__init__()
        depthwise = convolution == "depthwise"
        self.heads, self.window, self.shift = heads, window, shift
        self.norm = _RescaleNorm(width) if heads else None
        # Dense convolutions without attention stand alone: they mix the channels already.
        self.value = nn.Conv2d(width, width, 1) if heads or depthwise else nn.Identity()
        self.query_key = nn.Conv2d(width, 2 * width, 1) if heads else None
        self.offset_bias: nn.Module | None = _OffsetBias(window, heads) if heads else None
        self.convolution = _reflecting(width, width, 5, groups=width) if depthwise else _two_dense(width)
        self.project = nn.Conv2d(width, width, 1) if heads or depthwise else nn.Identity()
        self.expand = nn.Conv2d(width, hidden, 1)
        self.contract = nn.Conv2d(hidden, width, 1)

    def initialise(self, gain: float) -> None:
        """Published initialisation; query and key without the gain, and the norm keeps its own."""
        mixers = (self.value, self.convolution, self.project, self.expand, self.contract)
        for conv in (module for mixer in mixers for module in mixer.modules() if isinstance(module, nn.Conv2d)):
            initialise_xavier(conv, gain)
        if self.query_key is not None:
            initialise_xavier(self.query_key, 1.0)

    def forward(self, features: Tensor) -> Tensor:
        if self.norm is None:
            features = features + self.project(self.convolution(self.value(features)))
        else:
            normed, scale, shift = self.norm(features)
            features = features + self._mixed(normed) * scale + shift
        return features + self.contract(F.relu(self.expand(features)))

    def _mixed(self, features: Tensor) -> Tensor:
        assert self.query_key is not None
        value = self.value(features)
        attended = self._attended(torch.cat((self.query_key(features), value), dim=1))
        return self.project(self.convolution(value) + attended)

    def _attended(self, query_key_value: Tensor) -> Tensor:
        """Attention within windows of side `window`, the first of which begins `shift` before the image."""
        assert self.offset_bias is not None
        height, width = query_key_value.shape[2:]
        side, before = self.window, self.shift
        behind = [(-(size + before)) % side for size in (height, width)]
        padded = F.pad(query_key_value, (before, behind[1], before, behind[0]), mode="reflect")
        query, key, value = _windows(padded.permute(0, 2, 3, 1), side, self.heads)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + self.offset_bias()
        mixed = _image(scores.softmax(dim=-1) @ value, side)
        return mixed[:, before : before + height, before : before + width].permute(0, 3, 1, 2)


class _RescaleNorm(nn.Module):
    """Layer norm over a whole image, and what puts its deviation and mean back later (RescaleNorm; equations 3, 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Conv2d(1, channels, 1)
        self.shift = nn.Conv2d(1, channels, 1)
        # As at first nothing was normalised: the scale is the deviation's own, the shift zero.
        for convolution, start in ((self.scale, 1.0), (self.shift, 0.0)):
            nn.init.trunc_normal_(convolution.weight, std=0.02)
            nn.init.constant_(convolution.bias, start)  # pyright: ignore[reportArgumentType]  # it has a bias

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = features.mean((1, 2, 3), keepdim=True)
        deviation = ((features - mean).square().mean((1, 2, 3), keepdim=True) + NORM_EPS).sqrt()
        normed = torch.addcmul(self.bias, (features - mean) / deviation, self.weight)
        return normed, self.scale(deviation), self.shift(mean)


class _OffsetBias(nn.Module):
    """What is added to the score of two pixels of a window, from their offset: `heads window^2 window^2`."""

    offsets: Tensor

    def __init__(self, window: int, heads: int) -> None:
        super().__init__()
        pixel = torch.arange(window**2)
        position = torch.stack((pixel // window, pixel % window), dim=-1)
        offsets = (position[:, None] - position[None, :]).float()
        self.register_buffer("offsets", offsets.sign() * offsets.abs().log1p(), persistent=False)
        self.hidden = nn.Linear(2, META_WIDTH)
        self.output = nn.Linear(META_WIDTH, heads)

    def forward(self) -> Tensor:
        return self.output(F.relu(self.hidden(self.offsets))).permute(2, 0, 1)

    def folded(self) -> nn.Module:
        """As the constant it is without training."""
        return _Constant(self.forward().detach().contiguous())


class _Constant(nn.Module):
    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", copy.deepcopy(value))

    def forward(self) -> Tensor:
        return self.value


def _reflecting(inputs: int, outputs: int, kernel_size: int, groups: int = 1) -> nn.Conv2d:
    padding = kernel_size // 2
    return nn.Conv2d(inputs, outputs, kernel_size, padding=padding, groups=groups, padding_mode="reflect")


def _two_dense(width: int) -> nn.Sequential:
    return nn.Sequential(_reflecting(width, width, 3), nn.ReLU(inplace=True), _reflecting(width, width, 3))


def _smallest_coarse_side(window: int) -> int:
    """Side in pixels the coarsest level needs, as reflection wants more pixels than it adds.

    The convolution adds 2. A shifted window of which half lies before the image lacks 3/2 window - side behind it.
    """
    return max(3, 3 * window // 4 + 1)


def _windows(features: Tensor, side: int, heads: int) -> tuple[Tensor, ...]:
    """`B H W 3C` as query, key and value, each `B rows columns heads side^2 C/heads`."""
    batch, height, width, channels = features.shape
    cut = features.reshape(batch, height // side, side, width // side, side, 3, heads, channels // (3 * heads))
    return tuple(cut.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).unbind(0))


def _image(windows: Tensor, side: int) -> Tensor:
    """`B rows columns heads side^2 C/heads` as `B H W C`."""
    cut = windows.unflatten(4, (side, side)).permute(0, 1, 4, 2, 5, 3, 6)
    return cut.flatten(5).flatten(3, 4).flatten(1, 2)


def _check_options(
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    attention: tuple[float, ...],
    expansions: tuple[float, ...],
    window: int,
) -> None:
    check_positive("dehazeformer", window=window)
    check_depths("dehazeformer", depths)
    lists = {"widths": widths, "depths": depths, "heads": heads, "attention": attention, "expansions": expansions}
    for name, values in lists.items():
        if len(values) != 5 or min(values) < (0 if name == "attention" else 1):
            raise ValueError(f"dehazeformer: {name} is {list(values)}; it must hold five values, one for each stage")
    if widths[0] != widths[4] or widths[1] != widths[3]:
        raise ValueError(f"dehazeformer: widths is {list(widths)}; the decoder's must mirror the encoder's")
    if any(width % count for width, count in zip(widths, heads, strict=True)):
        raise ValueError(f"dehazeformer: heads is {list(heads)}; each must divide its stage's width, {list(widths)}")
    if max(attention) > 1:
        raise ValueError(f"dehazeformer: attention is {list(attention)}; shares are at most 1")
    if window % 2:
        raise ValueError(f"dehazeformer: window is {window}; it must be even, as blocks shift by half of it")
