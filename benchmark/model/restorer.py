"""Backbone and head as one network for images of any size: from 8 bits to 8 bits, and folded for inference."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backbones import Backbone, Features
from heads import Head, Restoration


class Restorer(nn.Module):
    """Pads the degraded image for the backbone, maps its range, runs backbone and head, and crops the result.

    Padding is added at the right and the bottom, in the backbone's `pad_mode`, so each pixel of the result keeps the
    position of its degraded pixel.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        """Join a backbone and a head, whose `in_channels` are the backbone's `out_channels`."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        convs = [module for module in head.modules() if isinstance(module, nn.Conv2d)]
        reflected = [int(side) for conv in convs if conv.padding_mode == "reflect" for side in conv.padding]
        self.min_side = max(backbone.min_side, 1 + max(reflected, default=0))  # what is reflected lies within the image

    def forward(self, degraded: Tensor) -> Restoration:
        """Restore degraded images `B C H W` in [0, 1], C as the backbone takes; restored images are not clamped.

        In training mode a multi-output backbone adds its auxiliary images, without the pixels that lie in the padding,
        wholly or in part.

        Raises:
            ValueError: There is no image or pixel, or another number of channels than the backbone takes.
        """
        if degraded.shape[1] != self.backbone.in_channels or 0 in degraded.shape:
            raise ValueError(
                f"images of shape {tuple(degraded.shape)}; for this backbone images are "
                f"`B {self.backbone.in_channels} H W` with at least one image and pixel"
            )
        height, width = degraded.shape[-2:]
        multiple = self.backbone.multiple_of
        padded_height, padded_width = (-(-max(side, self.min_side) // multiple) * multiple for side in (height, width))
        padded = _pad(degraded, padded_height, padded_width, self.backbone.pad_mode)
        low, high = self.backbone.input_range
        scaled = padded if (low, high) == (0.0, 1.0) else padded * (high - low) + low
        features = self.backbone(scaled)
        features, auxiliary = features if isinstance(features, Features) else (features, ())
        image, maps, _ = self.head(features, padded)
        return Restoration(
            image[..., :height, :width],
            {name: value[..., :height, :width] for name, value in maps.items()},
            tuple((_crop_scaled(image, padded, height, width) - low) / (high - low) for image in auxiliary),
        )


@torch.inference_mode()
def restore_image(restorer: Restorer, degraded: NDArray[np.uint8], device: torch.device) -> NDArray[np.uint8]:
    """Return the restored image, `H W 3` uint8, of a degraded one: clamped to [0, 1] and rounded to 8 bits."""
    return to_image(restorer(to_tensor(degraded, device)))


@torch.inference_mode()
def restore_with_maps(
    restorer: Restorer, degraded: NDArray[np.uint8], device: torch.device
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
    """Return what `restore_image` returns, and the maps that the head predicts, float32 `H W C` by name."""
    restoration = restorer(to_tensor(degraded, device))
    maps = {name: value[0].float().permute(1, 2, 0).cpu().numpy() for name, value in restoration.maps.items()}
    return to_image(restoration), maps


def to_tensor(image: NDArray[np.uint8] | NDArray[np.float32], device: torch.device) -> Tensor:
    """Return an image `H W 3`, uint8 or float32 in [0, 1], as `1 3 H W` float32 in [0, 1].

    Of a uint8 image bytes are copied to the device, not floats.
    """
    channels_first = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)
    unit = channels_first.float().div_(255) if image.dtype == np.uint8 else channels_first
    return unit.unsqueeze(0).contiguous()


def to_image(restoration: Restoration) -> NDArray[np.uint8]:
    """Return the first restored image of a batch as `H W 3` uint8."""
    levels = restoration.image[0].float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def fold(restorer: Restorer) -> Restorer:
    """Return a copy for inference, in eval mode and without gradients, that gives the same images with less work.

    Every module with a method `folded` (see `backbones`) is replaced by what that returns, from the outermost inward.
    The images are equal up to rounding: float32 results differ by about 1e-6 of their magnitude. Memory layout, device
    and type stay.
    """
    folded = copy.deepcopy(restorer).eval()
    _fold_children(folded)
    return folded.eval().requires_grad_(False)


def _fold_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        method = getattr(child, "folded", None)
        replacement: nn.Module = child if method is None else method()
        setattr(module, name, replacement)
        _fold_children(replacement)


def _crop_scaled(image: Tensor, padded: Tensor, height: int, width: int) -> Tensor:
    """Return an auxiliary image without its padding; `height` and `width` are those of the full image."""
    scale = padded.shape[-2] // image.shape[-2]
    return image[..., : height // scale, : width // scale]


def _pad(image: Tensor, height: int, width: int, mode: str) -> Tensor:
    while image.shape[-2:] != (height, width):
        down, right = height - image.shape[-2], width - image.shape[-1]
        if mode == "zeros":
            return nn.functional.pad(image, (0, right, 0, down))
        # A reflection adds at most one pixel less than the side, so tiny images are reflected repeatedly; a side of one
        # pixel has nothing to reflect and is replicated.
        down, right = min(down, max(image.shape[-2] - 1, 1)), min(right, max(image.shape[-1] - 1, 1))
        single = 1 in image.shape[-2:]
        image = nn.functional.pad(image, (0, right, 0, down), mode="replicate" if single else "reflect")
    return image
