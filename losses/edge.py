"""L1 between the edges of restored and target: sharpness, without regard to level."""

from typing import Literal

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._checks import check_sides


class Edge(Loss):
    """L1 between derivatives of the two images, mean over batch, channels and pixels, where they lie inside the patch.

    `mode`:
      * `gradient`: differences of neighbours, mean of the horizontal and of the vertical ones.
      * `laplacian`: a pixel minus the mean of its four neighbours: fine lines more than steps.

    It does not see a constant cast, so combine it with a pixel loss. An error that is noise costs 1.4 times (gradient)
    or 1.1 times (laplacian) what it costs in L1, a smooth one much less.
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
        if mode not in ("gradient", "laplacian"):
            raise ValueError(f"mode must be gradient or laplacian, not {mode!r}")
        self.mode = mode
        self.min_side = 2 if mode == "gradient" else 3

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32; gradient 0 where the images are equal. Raises ValueError for patches below `min_side`."""
        error = restoration.image.float() - batch.target.float()
        check_sides(error, self.min_side, "edge")
        if self.mode == "gradient":
            return (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2
        return _laplacian(error).abs().mean()


def _laplacian(image: Tensor) -> Tensor:
    """A pixel minus the mean of its four neighbours, `B C H W -> B C H-2 W-2`."""
    inner, above, below = image[..., 1:-1, 1:-1], image[..., :-2, 1:-1], image[..., 2:, 1:-1]
    left, right = image[..., 1:-1, :-2], image[..., 1:-1, 2:]
    return inner - (above + below + left + right) / 4
