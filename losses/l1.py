"""Mean absolute error: the pixel loss of stage 1."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss


class L1(Loss):
    """Mean over batch, channels and pixels. The restored image is not clamped: leaving [0, 1] costs, too."""

    formula = "mean |restored - target|"
    origin = "Standard; stage 1 of the reference solution. For restoration see Zhao et al., IEEE TCI 2017."

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32; the gradient is 0 where restored and target are equal."""
        return (restoration.image.float() - batch.target.float()).abs().mean()
