"""The restored image from predicted maps of the degradation: a global gain K and local spots D.

The maps are the *restoring* ones: I is the degraded image, J the restored one. Read as degrading (clean I,
damaged J), the same equation has the maps K' = -K / (1 + K) and D' = -D / (1 + K). From J alone they are not
identifiable: any K has a D that gives the same J. They are predictions of the true ones only where loss `map_l1`
supervises them, or as far as a gain at low resolution cannot take the part of the spots.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution, zero


class Degradation(Head):
    """Convolutions from features to the maps `gain` (K, `B gain_channels H W`) and `spots` (D, `B 3 H W`).

    `gain_channels`: 3 for a gain of each colour, 1 for one gain common to all.
    `gain_resolution`: `full`: K and D come from one convolution. `low`: K comes from features averaged over squares of
    `pool` x `pool` px by a 1 x 1 convolution and is enlarged bilinearly: so smooth that it cannot describe a spot, as
    befits a degradation of the whole image. The convolution is 1 x 1 because what it sees of the surroundings is in the
    average already. Height and width need not be multiples of `pool`.
    `pool`: side of those squares in pixels, for `gain_resolution: low` alone; below the distance over which exposure
    and light vary, above the size of a spot (on synthetic faces of 256 px: 26 px and more, and some 2 to 12 px; larger
    images want a larger pool).
    `kernel_size`: odd, in pixels. `padding`: how the convolution continues the features beyond the border.

    With `gain_channels: 1` it is the soft reconstruction of DehazeFormer, J = K*I - B + I, with one convolution to 4
    channels, K first. That one was trained on images in [-1, 1]; for [0, 1] its weights and biases are K's as they
    stand, and for each channel of D minus half the sum of K's and B's.

    Raises ValueError if `kernel_size` is not odd and positive, `gain_channels` not 1 or 3, `gain_resolution` none of
    the two, or `pool` below 1.
    """

    formula = "J = K*I + D + I"
    origin = (
        "Reference solution of face retouching (README of zdyshine/Faces-HQ-Retouching-Base-BaidunetDIsk), "
        "which gives the equation, but neither channels nor initialisation. The same form with one gain channel "
        "is the soft reconstruction of DehazeFormer (Song et al., IEEE TIP 2023), J = K*I - B + I. The gain at low "
        "resolution is our choice."
    )

    def __init__(
        self,
        in_channels: int,
        gain_channels: Literal[1, 3] = 3,
        gain_resolution: Literal["full", "low"] = "full",
        pool: int = 16,
        kernel_size: int = 3,
        padding: Padding = "reflect",
    ) -> None:
        super().__init__()
        if gain_channels not in (1, 3):
            raise ValueError(f"gain_channels must be 1 or 3, not {gain_channels}")
        if gain_resolution not in ("full", "low"):
            raise ValueError(f"gain_resolution must be full or low, not {gain_resolution!r}")
        if pool < 1:
            raise ValueError(f"pool must be at least 1, not {pool}")
        self.gain_channels: int = gain_channels
        self.pool = pool
        # Zero: the untrained network is exactly the identity, which already scores above 40 dB on retouching pairs.
        if gain_resolution == "full":
            self.low_gain = None
            self.conv = zero(make_convolution(in_channels, gain_channels + 3, kernel_size, padding))
        else:
            self.low_gain = zero(nn.Conv2d(in_channels, gain_channels, 1))
            self.conv = zero(make_convolution(in_channels, 3, kernel_size, padding))

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with maps `gain` and `spots`."""
        if self.low_gain is None:
            gain, spots = self.conv(features).split([self.gain_channels, 3], dim=1)
        else:
            gain, spots = self._smooth(features, self.low_gain), self.conv(features)
        return Restoration(gain * degraded + spots + degraded, {"gain": gain, "spots": spots})

    def _smooth(self, features: Tensor, convolution: nn.Conv2d) -> Tensor:
        height, width = features.shape[-2:]
        # The last row and column are repeated, so that the squares at the border are whole and lie where the enlarged
        # map expects them.
        whole = F.pad(features, (0, -width % self.pool, 0, -height % self.pool), mode="replicate")
        low = convolution(F.avg_pool2d(whole, self.pool))
        enlarged = F.interpolate(low, scale_factor=float(self.pool), mode="bilinear", align_corners=False)
        return enlarged[..., :height, :width]
