"""Mean absolute error (L1): the pixel loss of stage 1 of the reference solution."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss


class L1(Loss):
    """Mean of |restored - target| over batch, channels and pixels; values of `restored` outside [0, 1] cost, too."""

    formula = "mean |restored - target|"
    origin = "Standard; stage 1 of the reference solution. For restoration see Zhao et al., IEEE TCI 2017."

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; its gradient is 0 where restored and target are equal."""
        return (restoration.image.float() - batch.target.float()).abs().mean()
