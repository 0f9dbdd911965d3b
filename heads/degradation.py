"""Head that restores by predicted maps of the degradation: a global gain K and local spots D.

The maps are the *restoring* ones: I is the degraded image, J the restored one. As a degradation (clean I, damaged J),
the same equation has the maps K' = -K / (1 + K) and D' = -D / (1 + K). They are not identifiable from J alone: for
every K some D gives the same J. They predict the true maps only where loss `map_l1` supervises them, or as far as a
gain at low resolution cannot replace the spots.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution


class Degradation(Head):
    """Convolutions from features to the maps `gain` (K, `B gain_channels H W`) and `spots` (D, `B 3 H W`).

    With `gain_channels: 1` it is the soft reconstruction of DehazeFormer, J = K*I - B + I, with one convolution to 4
    channels, K first. DehazeFormer works on images in [-1, 1]; in [0, 1], the weights and biases of K stay the same,
    and those of each channel of D are minus half the sum of K's and B's.

    Args:
        in_channels: channels of the features.
        gain_channels: 3 for a gain per colour, 1 for one gain of all colours.
        gain_resolution: "full" for K and D from one convolution. "low" for K from features averaged over squares of
            `pool` x `pool` px, by a 1 x 1 convolution (the average already covers the surroundings), enlarged
            bilinearly. Such a K is too smooth to describe a spot. Height and width need not be multiples of `pool`.
        pool: side of these squares in pixels, for `gain_resolution: low` only. Choose it below the distance over which
            exposure and light vary and above the size of a spot (on synthetic faces of 256 px: 26 px and more, and
            about 2 to 12 px; larger images need a larger pool).
        kernel_size: side of the kernel in pixels, odd.
        padding: how the convolution continues the features beyond the border.

    Raises:
        ValueError: `kernel_size` is not odd and positive, or `pool` is below 1.
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
        if pool < 1:
            raise ValueError(f"pool must be at least 1, not {pool}")
        self.gain_channels: int = gain_channels
        self.pool = pool
        # The untrained network is exactly the identity, which already scores above 40 dB on retouching pairs.
        low = gain_resolution == "low"
        self.low_gain = make_convolution(in_channels, gain_channels, 1, "zeros", start_at_zero=True) if low else None
        out_channels = 3 if low else gain_channels + 3
        self.conv = make_convolution(in_channels, out_channels, kernel_size, padding, start_at_zero=True)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Return the restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with maps `gain`, `spots`."""
        if self.low_gain is None:
            gain, spots = self.conv(features).split([self.gain_channels, 3], dim=1)
        else:
            gain, spots = self._smooth(features, self.low_gain), self.conv(features)
        return Restoration(gain * degraded + spots + degraded, {"gain": gain, "spots": spots})

    def _smooth(self, features: Tensor, convolution: nn.Conv2d) -> Tensor:
        height, width = features.shape[-2:]
        # The last row and column are repeated, so that the squares at the border are complete and lie where the
        # enlarged map expects them.
        padded = F.pad(features, (0, -width % self.pool, 0, -height % self.pool), mode="replicate")
        low = convolution(F.avg_pool2d(padded, self.pool))
        enlarged = F.interpolate(low, scale_factor=float(self.pool), mode="bilinear", align_corners=False)
        return enlarged[..., :height, :width]
