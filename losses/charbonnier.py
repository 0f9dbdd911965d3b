"""Charbonnier loss: L1 with a rounded tip, whose gradient fades where the error is below one 8-bit level."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._shared import check


class Charbonnier(Loss):
    """Mean over batch, channels and pixels of sqrt((restored - target)^2 + epsilon^2).

    Args:
        epsilon: error at which the square turns into L1, in [0, 1] units; also the loss of equal images. 0.001 is a
            quarter of an 8-bit level.

    Raises:
        ValueError: `epsilon` is not positive; with 0, equal images would have no gradient.
    """

    formula = "mean sqrt((restored - target)^2 + epsilon^2)"
    origin = "Charbonnier et al., ICIP 1994; for restoration LapSRN (Lai et al., CVPR 2017), with the same epsilon."

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        check(epsilon > 0, f"epsilon must be positive, not {epsilon}")
        self.epsilon = epsilon

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar, at least `epsilon`; its gradient is 0 where restored and target are equal."""
        difference = restoration.image.float() - batch.target.float()
        return (difference.square() + self.epsilon**2).sqrt().mean()
