"""The mask loss that the reference solution tried and gave up: the amount of change where damage is severe."""

from torch import Tensor

from heads import Restoration
from losses import SPOT_THRESHOLD, Batch, Loss

_LEVELS = 255


class MaskLoss(Loss):
    """L1 distance of two absolute changes, in 8-bit levels / 255, mean over batch, channels and all pixels.

    G = 255 |target - degraded| and P = 255 |restored - degraded|, channel by channel, both 0 where G < 30. So
    it is blind to the sign of the change: making a spot darker by as much as it should be brighter costs
    nothing. It is also blind outside the spots, and its gradient is 0 where restored and degraded are equal,
    as with an untrained degradation head: combine it with another loss.
    """

    formula = "mean |P - G| / 255, G = 255|target - degraded|, P = 255|restored - degraded|, both 0 where G < 30"
    origin = (
        "G, P and the threshold: README of zdyshine/Faces-HQ-Retouching-Base-BaidunetDIsk, which reports no "
        "gain and does not say how P and G are compared; L1 over all pixels is our choice."
    )

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32; 0 if no channel of any pixel differs by 30 levels."""
        degraded = batch.degraded.float()
        wanted = _LEVELS * (batch.target.float() - degraded).abs()
        done = _LEVELS * (restoration.image.float() - degraded).abs()
        # Rounded, because a difference of exactly 30 levels comes out as 29.999998 or 30.000002.
        severe = wanted.round() >= round(_LEVELS * SPOT_THRESHOLD)
        return ((done - wanted).abs() * severe).mean() / _LEVELS
