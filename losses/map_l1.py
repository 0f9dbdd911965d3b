"""L1 between the predicted restoring maps K and D and the true ones."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._shared import check, predicted_map


class MapL1(Loss):
    """Weighted sum of the mean absolute errors of the gain K and of the spots D.

    K and D are not identifiable from the restored image alone: for every K, some D gives the same image. This loss
    decides between them where the data knows the true maps. A gain of one channel is compared with the mean of the true
    one over RGB. The restored image does not enter, so combine it with a loss of the image.

    K is learned as far as it is visible: strong casts (`experiments/maps_recovery.yaml`) more than the faint ones of
    the usual synthetic faces. The report of that experiment shows the errors of K and D beside those of the best
    constant; no record of it is published.

    Args:
        gain: weight of the error of K, at least 0.
        spots: weight of the error of D, at least 0.

    Raises:
        ValueError: a weight is negative.
    """

    formula = "gain * mean |K - true K| + spots * mean |D - true D|"
    origin = "Our choice; the reference solution does not supervise its maps."

    supervises = ("gain", "spots")

    def __init__(self, gain: float = 1.0, spots: float = 1.0) -> None:
        super().__init__()
        check(min(gain, spots) >= 0, f"the weights gain and spots must not be negative, not {gain} and {spots}")
        self.gain = gain
        self.spots = spots

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar, at least 0.

        Raises:
            ValueError: the head predicts no K or no D, or the data does not know them.
        """
        gain, spots = (_error(restoration, batch, name) for name in ("gain", "spots"))
        return self.gain * gain + self.spots * spots


def _error(restoration: Restoration, batch: Batch, name: str) -> Tensor:
    remedy = "choose head degradation or leave this loss out"
    predicted = predicted_map(restoration, name, "map_l1", remedy)
    values: Tensor | None = getattr(batch, name)
    if values is None:
        raise ValueError(
            f"map_l1: the true {name} is not known; leave this loss out, or train on data that knows it "
            "(synthetic_faces, without augmentations that break J = K*I + D + I)"
        )
    truth = values.float()
    if predicted.shape[1] == 1:
        truth = truth.mean(dim=1, keepdim=True)
    return (predicted - truth).abs().mean()
