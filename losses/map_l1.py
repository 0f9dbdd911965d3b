"""Supervision of the restoring maps K and D by the true ones."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._maps import predicted_map


class MapL1(Loss):
    """Weighted sum of the mean absolute errors of the gain K and of the spots D.

    From the restored image alone K and D are not identifiable: whatever K is, some D gives the same image. This loss
    decides between them where the data knows the truth. `gain`, `spots`: weights of the two errors. A gain of one
    channel is compared with the mean of the true one over RGB. It says nothing of the restored image: combine it with a
    loss that does.

    K is learned as far as it shows in the picture. Casts of up to 30 % do, to a network that sees the whole face: after
    550 steps a small one is off by 7 % on new faces, the best constant by 15 %, a network trained by L1 alone by 13 %;
    D, next to such a K, is not yet learned (`experiments/maps_recovery.yaml`). The 2 % of synthetic faces as they are
    do not show (1.7 %; constant 1.5 %), but D is learned there (1.8 levels; constant 2.1).

    Raises ValueError for a negative weight.
    """

    formula = "gain * mean |K - true K| + spots * mean |D - true D|"
    origin = "Our choice; the reference solution does not supervise its maps."

    supervises = ("gain", "spots")

    def __init__(self, gain: float = 1.0, spots: float = 1.0) -> None:
        super().__init__()
        if min(gain, spots) < 0:
            raise ValueError(f"the weights gain and spots must not be negative, not {gain} and {spots}")
        self.gain = gain
        self.spots = spots

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32, at least 0. Raises ValueError if the head or the data gives no K or no D."""
        gain, spots = (_error(restoration, batch, name) for name in ("gain", "spots"))
        return self.gain * gain + self.spots * spots


def _error(restoration: Restoration, batch: Batch, name: str) -> Tensor:
    remedy = "choose head degradation or leave this loss out"
    predicted = predicted_map(restoration, name, "map_l1", remedy)
    truth: Tensor | None = getattr(batch, name)
    if truth is None:
        raise ValueError(
            f"map_l1: the true {name} is not known; leave this loss out, or train on data that knows it "
            "(synthetic_faces, without augmentations that break J = K*I + D + I)"
        )
    truth = truth.float()
    if predicted.shape[1] == 1:
        truth = truth.mean(dim=1, keepdim=True)
    return (predicted - truth).abs().mean()
