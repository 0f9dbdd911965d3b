"""The mask loss that the reference solution tried without gain: the amount of change where damage is severe."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

_LEVELS = 255
_SEVERE_LEVELS = 30
"""The threshold of this loss's own formula, channel by channel."""
_TOLERANCE_LEVELS = 1e-3
"""A difference of exactly 30 levels may be computed as 29.99998; images need not be in 8 bits."""


class MaskLoss(Loss):
    """L1 distance of two absolute changes, in 8-bit levels / 255, mean over batch, channels and all pixels.

    G = 255 |target - degraded| and P = 255 |restored - degraded|, channel by channel, both 0 where G < 30. The loss is
    blind to the sign of the change: a spot that becomes darker by as much as it should become brighter costs nothing.
    It is also blind outside the spots, and its gradient is 0 where restored and degraded are equal, as with an
    untrained degradation head. So combine it with another loss.
    """

    formula = "mean |P - G| / 255, G = 255|target - degraded|, P = 255|restored - degraded|, both 0 where G < 30"
    origin = (
        "G, P and the threshold: README of zdyshine/Faces-HQ-Retouching-Base-BaidunetDIsk, which reports no "
        "gain and does not say how P and G are compared; L1 over all pixels is our choice."
    )

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar, 0 if no channel of any pixel differs by 30 levels."""
        degraded = batch.degraded.float()
        required = _LEVELS * (batch.target.float() - degraded).abs()
        change = _LEVELS * (restoration.image.float() - degraded).abs()
        severe = required >= _SEVERE_LEVELS - _TOLERANCE_LEVELS
        return ((change - required).abs() * severe).mean() / _LEVELS
