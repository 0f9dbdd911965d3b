"""DehazeFormer (Song et al., IEEE TIP 2023): a U-Net of window attention and convolutions.

Its normalisation over the whole image is undone after the attention, so that brightness is not lost. Ours is the
authors' network with other names of weights; for inference, the bias per offset can be folded to a constant.
"""

import copy
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._layers import check_depths, check_option, check_positive, initialise_xavier
from backbones._unet import SelectiveKernel, pixel_shuffle_up, unet_forward
from backbones._window_attention import merge_windows, split_windows

NORM_EPS = 1e-5
META_WIDTH = 256
"""Hidden width of the network that computes the bias of two pixels from their offset."""
OFFICIAL_PARTS = (
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
"""Names of the parts of a block: in the reference implementation, and here."""


class DehazeFormer(Backbone):
    """U-Net whose blocks mix pixels by attention within windows, by a convolution, or by both (paper, figure 2).

    The size is halved twice. In each stage, the last blocks have attention. A selective kernel joins skip connections,
    and the decoder's features are added once more. The features are those before the output convolution.

    Args:
        widths: channels of the five stages: two of the encoder, the middle, two of the decoder; the decoder's mirror
            the encoder's.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        attention: share of the blocks of each stage that have attention.
        expansions: hidden channels of the feed-forward part of each stage, as a multiple of its width.
        window: side of the windows in pixels, even.
        convolution: "depthwise" for one 5x5 convolution in each block; "dense" for two 3x3 convolutions with a ReLU
            between them, which in blocks without attention are the whole mixing of pixels.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{song2023vision,
  title = {Vision Transformers for Single Image Dehazing},
  author = {Song, Yuda and He, Zhuqing and Qian, Hui and Du, Xin},
  journal = {IEEE Transactions on Image Processing},
  volume = {32},
  year = {2023}
}"""
    origin = (
        "arXiv:2204.03883; reference implementation IDKiro/DehazeFormer@5af7c34d (MIT), whose weights fit after "
        "renaming. Sizes t, s, b, d, w, m and l are published; small is t, which keeps within 10 MB, and tiny is our "
        "choice. Other kinds of convolution or normalisation per stage, which no published size has, are left out."
    )
    sizes: ClassVar[Sizes] = {
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
    input_range = (-1.0, 1.0)
    published = Published(
        keys=(
            (r"patch_embed\.proj\.(\w+)", r"backbone.stem.\1"),
            *(
                (rf"layer{stage + 1}\.blocks\.(\d+)\.{theirs}\.(\w+)", rf"backbone.stages.{stage}.\1.{ours}.\2")
                for stage in range(5)
                for theirs, ours in (*OFFICIAL_PARTS, ("norm1", "norm"))
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
        gain, depthwise = (8 * sum(depths)) ** -0.25, convolution == "depthwise"

        def stage(width: int, depth: int, head_count: int, share: float, expansion: float) -> nn.Sequential:
            first = depth - share * depth  # the first block with attention
            blocks = [
                _Block(width, int(width * expansion), head_count if index >= first else 0, window, index % 2, depthwise)
                for index in range(depth)
            ]
            for block in blocks:
                block.initialise(gain)
            return nn.Sequential(*blocks)

        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, padding_mode="reflect")
        self.stages = nn.ModuleList(map(stage, widths, depths, heads, attention, expansions))
        self.downs = nn.ModuleList(nn.Conv2d(widths[at], widths[at + 1], 2, stride=2) for at in range(2))
        self.skips = nn.ModuleList(nn.Conv2d(widths[at], widths[at], 1) for at in range(2))
        self.ups = nn.ModuleList(pixel_shuffle_up(widths[at + 1], widths[at]) for at in range(2))
        self.fusions = nn.ModuleList(SelectiveKernel(widths[at]) for at in range(2))

        self.out_channels = widths[-1]
        self.multiple_of = 4
        # At the coarsest level, reflection needs more pixels than it adds. The convolution adds 2; a shifted window,
        # which lies half before the image, lacks 3/2 * window - side behind it.
        self.min_side = 4 * max(3, 3 * window // 4 + 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B widths[-1] H W` of an image `B 3 H W` in [-1, 1]; H and W multiples of `multiple_of`."""

        def join(level: int, features: Tensor, skipped: Tensor) -> Tensor:
            features = self.ups[level](features)
            return features + self.fusions[level](features, self.skips[level](skipped))

        features = self.stem(image).contiguous(memory_format=torch.channels_last)
        return unet_forward(features, self.stages, lambda level, features: self.downs[level](features), join)


class _Block(nn.Module):
    """Mixing of pixels, then of channels, each added to its input; after attention, the normalisation is undone."""

    def __init__(self, width: int, hidden: int, heads: int, window: int, shifted: int, depthwise: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, window // 2 * shifted
        self.norm = _RescaleNorm(width) if heads else None
        # Dense convolutions without attention need no 1x1 convolutions around them: they mix the channels already.
        self.value = nn.Conv2d(width, width, 1) if heads or depthwise else nn.Identity()
        self.query_key = nn.Conv2d(width, 2 * width, 1) if heads else None
        self.offset_bias: nn.Module | None = _OffsetBias(window, heads) if heads else None
        self.convolution = (
            _reflecting(width, 5, groups=width)
            if depthwise
            else nn.Sequential(_reflecting(width, 3), nn.ReLU(inplace=True), _reflecting(width, 3))
        )
        self.project = nn.Conv2d(width, width, 1) if heads or depthwise else nn.Identity()
        self.expand = nn.Conv2d(width, hidden, 1)
        self.contract = nn.Conv2d(hidden, width, 1)

    def initialise(self, gain: float) -> None:
        """Initialise as the authors do: query and key without the gain; the norm keeps its own initial values."""
        for mixer in (self.value, self.convolution, self.project, self.expand, self.contract):
            initialise_xavier(mixer, gain)
        if self.query_key is not None:
            initialise_xavier(self.query_key, 1.0)

    def forward(self, features: Tensor) -> Tensor:
        if self.norm is None or self.query_key is None:
            features = features + self.project(self.convolution(self.value(features)))
        else:
            normed, scale, shift = self.norm(features)
            value = self.value(normed)
            attended = self._attend(torch.cat((self.query_key(normed), value), dim=1))
            features = features + self.project(self.convolution(value) + attended) * scale + shift
        return features + self.contract(F.relu(self.expand(features)))

    def _attend(self, query_key_value: Tensor) -> Tensor:
        """Return attention `B C H W` within windows, the first of which begins `shift` pixels before the image."""
        assert self.offset_bias is not None
        height, width = query_key_value.shape[2:]
        side, before = self.window, self.shift
        behind = [(-(size + before)) % side for size in (height, width)]
        padded = F.pad(query_key_value, (before, behind[1], before, behind[0]), mode="reflect").permute(0, 2, 3, 1)
        query, key, value = (split_windows(tensor, side, self.heads) for tensor in padded.chunk(3, dim=-1))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + self.offset_bias()
        mixed = merge_windows(scores.softmax(dim=-1) @ value, side)
        return mixed[:, before : before + height, before : before + width].permute(0, 3, 1, 2)


class _RescaleNorm(nn.Module):
    """Layer norm over a whole image, and the scale and shift that undo it later (RescaleNorm; equations 3 and 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Conv2d(1, channels, 1)
        self.shift = nn.Conv2d(1, channels, 1)
        # At first the block works as without normalisation: the scale is near 1, the shift near 0.
        for convolution, start in ((self.scale, 1.0), (self.shift, 0.0)):
            nn.init.trunc_normal_(convolution.weight, std=0.02)
            nn.init.constant_(convolution.bias, start)  # pyright: ignore[reportArgumentType]  # it has a bias

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalised features `B C H W`, scale `B C 1 1` and shift `B C 1 1`."""
        mean = features.mean((1, 2, 3), keepdim=True)
        deviation = ((features - mean).square().mean((1, 2, 3), keepdim=True) + NORM_EPS).sqrt()
        normed = torch.addcmul(self.bias, (features - mean) / deviation, self.weight)
        return normed, self.scale(deviation), self.shift(mean)


class _OffsetBias(nn.Module):
    """Bias on the score of two pixels of a window, computed from their offset: `heads window^2 window^2`."""

    def __init__(self, window: int, heads: int) -> None:
        super().__init__()
        pixel = torch.arange(window**2)
        position = torch.stack((pixel // window, pixel % window), dim=-1)
        offsets = (position[:, None] - position[None, :]).float()
        self.offsets = nn.Buffer(offsets.sign() * offsets.abs().log1p(), persistent=False)
        self.hidden = nn.Linear(2, META_WIDTH)
        self.output = nn.Linear(META_WIDTH, heads)

    def forward(self) -> Tensor:
        return self.output(F.relu(self.hidden(self.offsets))).permute(2, 0, 1)

    def folded(self) -> nn.Module:
        """Return a module that holds the bias, which is constant after training."""
        return _Constant(self.forward().detach().contiguous())


class _Constant(nn.Module):
    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Buffer(copy.deepcopy(value))

    def forward(self) -> Tensor:
        return self.value


def _reflecting(width: int, kernel_size: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, groups=groups, padding_mode="reflect")


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
        valid = len(values) == 5 and min(values) >= (0 if name == "attention" else 1)
        check_option("dehazeformer", name, values, valid, "it must hold five values, one for each stage")
    divided = all(width % count == 0 for width, count in zip(widths, heads, strict=True))
    check_option("dehazeformer", "widths", widths, widths == widths[::-1], "the decoder's must mirror the encoder's")
    check_option("dehazeformer", "heads", heads, divided, f"each must divide its stage's width, {list(widths)}")
    check_option("dehazeformer", "attention", attention, max(attention) <= 1, "shares are at most 1")
    check_option("dehazeformer", "window", window, window % 2 == 0, "it must be even, as blocks shift by half of it")
