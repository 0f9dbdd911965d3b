"""U-Net with an encoder of timm (Wightman, 2019), pretrained on request, and a decoder for restoration.

Encoders for classification start at 1/2 or 1/4 of the size; a stem of our own keeps the fine detail at the resolutions
above. Stem and decoder are our choice.
"""

import difflib
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Sizes
from backbones._layers import ResidualBlock, check_positive
from backbones._unet import pixel_shuffle_up

SIDE_FACTORS = (1, 2, 4, 8)
"""Sides to try, in units of the coarsest reduction: attention in windows may need more than one unit."""


class TimmUNet(Backbone):
    """U-Net whose encoder is a network of timm, with a stem at the resolutions that the encoder lacks.

    The stem has a 3x3 convolution at full resolution, then a 2x2 convolution of stride 2 for each halving above the
    encoder's first feature map. The decoder doubles the size by 1x1 convolution and pixel shuffle, concatenates the map
    of that resolution, and refines both. It has `width` channels at full resolution and twice as many at every halving,
    but no more than the encoder at that resolution. The features are its last ones, `width` channels. The encoder sees
    images normalised as in its training.

    Args:
        encoder: a name of timm, with or without a tag of its weights. An encoder that does not take images of every
            size is refused; most convolutional ones do.
        pretrained: start the encoder from the weights that timm downloads and keeps in its own cache, also when a
            trained network is loaded. Check their licence; that of ConvNeXt V2 forbids commercial use.
        stages: number of feature maps of the encoder to use, from the finest; later stages are left out. None for all.
        width: channels at full resolution.
        decoder_depth: residual blocks of two 3x3 convolutions at every resolution of the decoder.

    Raises:
        ValueError: timm has no such encoder, its feature maps do not fit the image, its weights cannot be loaded, or an
            option is outside its allowed range.
    """

    citation = """@misc{rw2019timm,
  title = {{PyTorch} Image Models},
  author = {Wightman, Ross},
  year = {2019},
  doi = {10.5281/zenodo.4414861}
}"""
    origin = (
        "Ours: encoders of huggingface/pytorch-image-models (timm, Apache-2.0; cite the paper of the encoder, too) in "
        "the scheme of U-Net (arXiv:1505.04597); stem and decoder are our choices, and so are all sizes. The default "
        "encoder is ConvNeXt V2 (arXiv:2301.00808), tiny one that timm made for tests. Sizes small and tiny leave out "
        "the encoder's last stages, where most weights are."
    )
    sizes: ClassVar[Sizes] = {
        "convnextv2_atto": {"encoder": "convnextv2_atto", "width": 32, "decoder_depth": 2},
        "resnet34": {"encoder": "resnet34", "width": 32, "decoder_depth": 2},
        "small": {"encoder": "convnextv2_atto", "stages": 3, "width": 32, "decoder_depth": 2},
        "tiny": {"encoder": "test_convnext", "stages": 2, "width": 12},
    }

    def __init__(
        self,
        encoder: str = "convnextv2_atto",
        pretrained: bool = False,
        stages: int | None = None,
        width: int = 32,
        decoder_depth: int = 1,
    ) -> None:
        super().__init__()
        check_positive("timm_unet", width=width, decoder_depth=decoder_depth, stages=stages)
        self.encoder = _Encoder(encoder, pretrained, stages)
        self.stem = nn.ModuleList([nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.GELU())])
        levels = [_Level(1, width)]
        first = self.encoder.levels[0].reduction
        # The powers of two below the encoder's first reduction that divide it.
        for reduction in (2**power for power in range(1, (first - 1).bit_length()) if first % 2**power == 0):
            down = nn.Conv2d(levels[-1].channels, width * reduction, 2, stride=2)
            self.stem.append(nn.Sequential(down, nn.GELU()))
            levels.append(_Level(reduction, width * reduction))
        levels += self.encoder.levels

        self.ups = nn.ModuleList()
        coarse_channels = levels[-1].channels
        for fine, coarse in reversed(list(pairwise(levels))):
            channels = min(width * fine.reduction, fine.channels)
            ratio = coarse.reduction // fine.reduction
            self.ups.append(_Up(coarse_channels, channels, fine.channels, ratio, decoder_depth))
            coarse_channels = channels

        self.out_channels = width
        self.multiple_of = self.encoder.multiple_of
        self.min_side = self.encoder.min_side

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        maps: list[Tensor] = []
        features = image
        for layer in self.stem:
            features = layer(features)
            maps.append(features)
        maps += self.encoder(image)
        features = maps.pop()
        for up in self.ups:
            features = up(features, maps.pop())
        return features


class _Level(NamedTuple):
    """Feature maps of one resolution: how often they are smaller than the image, and their channels."""

    reduction: int
    channels: int


class _Encoder(nn.Module):
    """Network of timm that returns feature maps `B C H/r W/r`, finest first, as `levels` lists them.

    Of several maps at one resolution it returns the last. The constructor runs the network once, because some networks
    take few image sizes only, and some return other sizes than timm states.
    """

    def __init__(self, name: str, pretrained: bool, stages: int | None) -> None:
        super().__init__()
        self.network = _build(name, pretrained, stages)
        info = self.network.feature_info
        levels = [_Level(*facts) for facts in zip(info.reduction(), info.channels(), strict=True)]
        # Statistics over the pixels of an image need more than one pixel.
        needs_pixels = any(isinstance(m, nn.BatchNorm2d | nn.InstanceNorm2d) for m in self.network.modules())
        least_side = levels[-1].reduction * (2 if needs_pixels else 1)
        self.multiple_of, self.channels_last = _try_sides(self.network, name, levels, least_side)
        self.min_side = max(least_side, self.multiple_of)

        last = {level.reduction: place for place, level in enumerate(levels)}
        self.taken = list(last.values())
        self.levels = [levels[place] for place in self.taken]

        config = _timm().data.resolve_data_config(model=self.network)  # ImageNet's statistics if timm knows no others
        self.mean, self.deviation = (
            nn.Buffer(torch.tensor(config[name]).view(3, 1, 1), persistent=False) for name in ("mean", "std")
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = self.network((image - self.mean) / self.deviation)
        return [maps[place].permute(0, 3, 1, 2) if self.channels_last else maps[place] for place in self.taken]


class _Up(nn.Module):
    """Step of the decoder: enlarge features, join them with the map of that size, refine both."""

    def __init__(self, coarse: int, channels: int, skipped: int, ratio: int, depth: int) -> None:
        super().__init__()
        self.up = pixel_shuffle_up(coarse, channels, ratio)
        self.join = nn.Conv2d(channels + skipped, channels, 1)
        self.blocks = nn.Sequential(*[ResidualBlock(channels, F.gelu) for _ in range(depth)])

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        return self.blocks(self.join(torch.cat((self.up(features), skipped), dim=1)))


def _timm() -> Any:
    """Import timm, which takes seconds and needs torchvision, only where an encoder is built."""
    try:
        import timm
    except Exception as error:  # a torchvision of another build than torch fails with more than an ImportError
        raise ValueError(
            f"timm_unet: timm cannot be imported: {_first_line(error)}; python -m benchmark doctor says what mends it"
        ) from error
    return timm


def _build(name: str, pretrained: bool, stages: int | None) -> Any:
    timm = _timm()
    if not timm.is_model(name):
        near = ", ".join(difflib.get_close_matches(name, timm.list_models(), n=3)) or "none"
        raise ValueError(f"timm_unet: timm {timm.__version__} has no encoder {name!r}; names like it: {near}")
    # With timm's default, some encoders keep, and compute, stages after the last requested one.
    chosen: dict[str, Any] = {} if stages is None else {"out_indices": tuple(range(stages)), "feature_cls": "getter"}
    # On the meta device, where networks are built to count their cost, weights have no storage: download none.
    pretrained = pretrained and torch.get_default_device().type != "meta"
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, **chosen)
    except Exception as error:  # a thousand networks of many authors raise many kinds of errors
        requested = "" if stages is None else f" with {stages} stages"
        remedy = "; pretrained needs weights that timm can download or has in its cache" if pretrained else ""
        raise ValueError(
            f"timm_unet: encoder {name!r}{requested} gives no features: {_first_line(error)}{remedy}"
        ) from error


def _try_sides(network: nn.Module, name: str, levels: list[_Level], least: int) -> tuple[int, bool]:
    """Return the number that the sides of an image must be multiples of, and whether maps come as `B H W C`."""
    refusal = ""
    for multiple in (levels[-1].reduction * factor for factor in SIDE_FACTORS):
        height, width = max(least, multiple), max(least, multiple) + multiple
        expected = [(level.channels, height // level.reduction, width // level.reduction) for level in levels]
        try:
            shapes = _shapes(network, height, width)
        except Exception as error:  # see `_build`
            refusal = f"takes none of {height} x {width} px: {_first_line(error)}"
            continue
        for fits, channels_last in ((expected, False), ([(h, w, c) for c, h, w in expected], True)):
            if shapes == fits:
                return multiple, channels_last
        wrong, right = next(pair for pair in zip(shapes, expected, strict=True) if pair[0] != pair[1])
        refusal = f"makes a map of {wrong} from {height} x {width} px, where {right} would fit"
    raise ValueError(f"timm_unet: encoder {name!r} does not take images of every size: it {refusal}")


@torch.no_grad()
def _shapes(network: nn.Module, height: int, width: int) -> list[tuple[int, ...]]:
    """Return the shapes of the maps of an image of that size, without the batch; leave the network in training mode."""
    try:
        return [tuple(features.shape[1:]) for features in network.eval()(torch.zeros(1, 3, height, width))]
    finally:
        network.train()


def _first_line(error: Exception) -> str:
    """Return the kind and the first line of an error."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
