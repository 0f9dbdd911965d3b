"""Colour losses: agreement of colour without regard to fine texture.

The reference solution names a colour loss without a formula and adds it to L1 without a weight. Two published forms are
here. `cosine` is the default, because it matters at equal weights: on synthetic faces between 26 and 39 dB its gradient
has 90 to 30 % of the norm of that of L1. The gradient of `blurred_l2` has 9 to 1 %, so L1 + colour would be nearly L1.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from heads import Restoration
from losses import Batch, Loss
from losses._shared import check_sides

_WINDOW_SIZE = 21
_SIGMA_PX = 3.0
_NO_HUE_BELOW = 8 / 255


class Color(Loss):
    """Colour distance, mean over batch and pixels.

    * `cosine`: mean of 1 - cos of the angle between the RGB vectors, each with a constant fourth component of 8/255. So
      near black there is no hue, and the gradient of a pixel stays below 255 / 8. It is nearly blind to brightness, so
      combine it with a loss that is not. At 30 dB its gradient has 15 to 50 % of the norm of that of L1.
    * `blurred_l2`: mean of (G * restored - G * target)^2, also over channels. G is a Gaussian of 21 x 21 px, sigma 3
      px, sum 1; images continue by reflection, so a constant cast c costs c^2. The mean makes the weight independent of
      the patch size. It depends on brightness and hue. At 30 dB its gradient has 2 to 5 % of the norm of that of L1,
      so it needs a weight of 20 to 50 for the same influence.

    Args:
        mode: "cosine" or "blurred_l2".
    """

    formula = "cosine: mean (1 - cos(restored, target)); blurred_l2: mean (G*restored - G*target)^2"
    origin = (
        "blurred_l2: DPED (Ignatov et al., ICCV 2017); its released code has half the sum over pixels in place "
        "of the mean, and as window the square root of such a Gaussian, in effect sigma 4.2 px. cosine: the "
        "angle of DeepUPE (Wang et al., CVPR 2019), by its cosine. Default, mean and fourth component are our "
        "choice."
    )

    def __init__(self, mode: Literal["cosine", "blurred_l2"] = "cosine") -> None:
        super().__init__()
        self.mode = mode
        self.min_side = _WINDOW_SIZE // 2 + 1 if mode == "blurred_l2" else 1

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar, 0 if restored and target are equal.

        Raises:
            ValueError: a side of the patch is below `min_side`.
        """
        restored, target = restoration.image.float(), batch.target.float()
        if self.mode == "cosine":
            # Half the squared distance of unit vectors is 1 - cos, with the digits that 1 - cos loses at small angles.
            return 0.5 * (_direction(restored) - _direction(target)).square().sum(dim=1).mean()
        check_sides(self, restored, "enlarge the patch or set mode: cosine")
        # Autocast would run the convolution in half precision.
        with torch.autocast(restored.device.type, enabled=False):
            return _blur(restored - target).square().mean()


def _direction(image: Tensor) -> Tensor:
    extended = F.pad(image, (0, 0, 0, 0, 0, 1), value=_NO_HUE_BELOW)
    return extended / extended.square().sum(dim=1, keepdim=True).sqrt()


def _blur(image: Tensor) -> Tensor:
    """Blur an image `B C H W` by a Gaussian, along columns, then along rows."""
    margin = _WINDOW_SIZE // 2
    # Computed anew each time: 21 numbers cost nothing, and a loss without buffers need not move to a device.
    offsets = torch.arange(_WINDOW_SIZE, dtype=torch.float32, device=image.device) - margin
    weights = torch.exp(-0.5 * (offsets / _SIGMA_PX).square())
    weights = weights / weights.sum()
    padded = F.pad(image, (margin, margin, margin, margin), mode="reflect").flatten(0, 1).unsqueeze(1)
    blurred = F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return blurred.view_as(image)
