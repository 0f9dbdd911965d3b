"""L1 with a rounded tip: the pixel loss whose gradient fades where the error is below a level of 8 bits."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss


class Charbonnier(Loss):
    """Mean over batch, channels and pixels of sqrt((restored - target)^2 + epsilon^2).

    `epsilon`: where the square turns into L1, in [0, 1] units; also the value at equal images. 0.001 is a quarter of an
    8-bit level. Raises ValueError if it is not positive: at 0 equal images have no gradient.
    """

    formula = "mean sqrt((restored - target)^2 + epsilon^2)"
    origin = "Charbonnier et al., ICIP 1994; for restoration LapSRN (Lai et al., CVPR 2017), with the same epsilon."

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive, not {epsilon}")
        self.epsilon = epsilon

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32, at least `epsilon`; the gradient is 0 where restored and target are equal."""
        difference = restoration.image.float() - batch.target.float()
        return (difference.square() + self.epsilon**2).sqrt().mean()
