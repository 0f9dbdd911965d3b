"""L1 between the edges of restored and target: sharpness without regard to level."""

from typing import Literal

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._shared import check_sides


class Edge(Loss):
    """L1 between derivatives of the two images, mean over batch, channels and pixels, where they lie inside the patch.

    It does not see a constant cast, so combine it with a pixel loss. An error that is noise costs 1.4 times (gradient)
    or 1.1 times (laplacian) its cost in L1, a smooth error much less.

    Args:
        mode: "gradient" for differences of neighbours, mean of horizontal and vertical ones; "laplacian" for a pixel
            minus the mean of its four neighbours, which weighs fine lines more than steps.
    """

    formula = (
        "gradient: mean |dx e| / 2 + mean |dy e| / 2; laplacian: mean |e - mean of 4 neighbours|; e = restored - target"
    )
    origin = (
        "laplacian: the edge loss of MPRNet (Zamir et al., CVPR 2021), with L1 in place of Charbonnier and without its "
        "blur. gradient: L1 of derivatives, with their sign."
    )

    def __init__(self, mode: Literal["gradient", "laplacian"] = "gradient") -> None:
        super().__init__()
        self.mode = mode
        self.min_side = 2 if mode == "gradient" else 3

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; its gradient is 0 where restored and target are equal.

        Raises:
            ValueError: a side of the patch is below `min_side`.
        """
        error = restoration.image.float() - batch.target.float()
        check_sides(self, error, "enlarge the patch")
        if self.mode == "gradient":
            return (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2
        inner, above, below = error[..., 1:-1, 1:-1], error[..., :-2, 1:-1], error[..., 2:, 1:-1]
        left, right = error[..., 1:-1, :-2], error[..., 1:-1, 2:]
        return (inner - (above + below + left + right) / 4).abs().mean()
