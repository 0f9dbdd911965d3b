"""Backbone and head as one network that takes an image of any size."""

import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features
from heads import Head, Restoration


class Restorer(nn.Module):
    """Pads the degraded image to what the backbone needs, maps its range, runs backbone and head, crops.

    Padding is added at the right and the bottom, as the backbone's `pad_mode` says, so that every pixel of the result
    has one of the degraded image above it.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, degraded: Tensor) -> Restoration:
        """Restoration of a degraded image `B 3 H W` in [0, 1]; the restored image is not clamped.

        In training mode the auxiliary images of a multi-output backbone come with it, without their pixels that lie,
        wholly or in part, in the padding.
        """
        height, width = degraded.shape[-2:]
        padded = _pad(degraded, self._padded(height), self._padded(width), self.backbone.pad_mode)
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

    def _padded(self, side: int) -> int:
        multiple = self.backbone.multiple_of
        return -(-max(side, self.backbone.min_side) // multiple) * multiple


def _crop_scaled(image: Tensor, padded: Tensor, height: int, width: int) -> Tensor:
    scale = padded.shape[-2] // image.shape[-2]
    return image[..., : height // scale, : width // scale]


def _pad(image: Tensor, height: int, width: int, mode: str) -> Tensor:
    while image.shape[-2:] != (height, width):
        down, right = height - image.shape[-2], width - image.shape[-1]
        if mode == "zeros":
            return F.pad(image, (0, right, 0, down))
        # A reflection is at most one pixel shorter than the image, so a tiny image is reflected again and again;
        # an image one pixel high has nothing to reflect and is repeated.
        down, right = min(down, max(image.shape[-2] - 1, 1)), min(right, max(image.shape[-1] - 1, 1))
        single = 1 in image.shape[-2:]
        image = F.pad(image, (0, right, 0, down), mode="replicate" if single else "reflect")
    return image
