"""The restored image from predicted maps of the degradation: a global gain K and local spots D.

The maps are the *restoring* ones: I is the degraded image, J the restored one. Read as degrading (clean I,
damaged J), the same equation has the maps K' = -K / (1 + K) and D' = -D / (1 + K).
"""

from typing import Literal

from torch import Tensor, nn

from heads import Head, Restoration


class Degradation(Head):
    """One convolution from features to the maps `gain` (K, `B gain_channels H W`) and `spots` (D, `B 3 H W`).

    `gain_channels`: 3 for a gain of each colour, 1 for one gain common to all. `kernel_size`: odd, in pixels.
    `padding`: how the convolution continues the features beyond the border.
    Raises ValueError if `kernel_size` is not odd and positive.
    """

    formula = "J = K*I + D + I"
    origin = (
        "Reference solution of face retouching (README of zdyshine/Faces-HQ-Retouching-Base-BaidunetDIsk), "
        "which gives the equation, but neither channels nor initialisation. The same form with one gain channel "
        "is the soft reconstruction of DehazeFormer (Song et al., IEEE TIP 2023), J = K*I - B + I."
    )

    def __init__(
        self,
        in_channels: int,
        gain_channels: Literal[1, 3] = 3,
        kernel_size: int = 3,
        padding: Literal["reflect", "zeros"] = "reflect",
    ) -> None:
        super().__init__()
        if gain_channels not in (1, 3):
            raise ValueError(f"gain_channels must be 1 or 3, not {gain_channels}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, not {kernel_size}")
        self.gain_channels: int = gain_channels
        self.conv = nn.Conv2d(
            in_channels, gain_channels + 3, kernel_size, padding=kernel_size // 2, padding_mode=padding
        )
        # The untrained network is exactly the identity, which already scores above 40 dB on retouching pairs.
        # The backbone gets its first gradient in the second step, once these weights have left zero.
        nn.init.zeros_(self.conv.weight)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with maps `gain` and `spots`."""
        gain, spots = self.conv(features).split([self.gain_channels, 3], dim=1)
        return Restoration(gain * degraded + spots + degraded, {"gain": gain, "spots": spots})
