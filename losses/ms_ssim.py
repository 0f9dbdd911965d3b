"""Multi-scale structural similarity (MS-SSIM) as a loss."""

from pytorch_msssim import ms_ssim

from losses._shared import StructuralLoss


class MsSsim(StructuralLoss):
    """1 - MS-SSIM with five scales and the published weights, mean over RGB and images.

    A side of the patch must have at least (window_size - 1) * 16 + 1 pixels: 161 with a window of 11, 97 with 7. Values
    of different window sizes are not comparable.

    The restored image is not clamped: the formula is defined outside [0, 1], and clamping would remove the gradient of
    the pixels with the largest error. Where the contrast of a scale is anticorrelated, MS-SSIM and its gradient are 0.
    This happens with untrained networks, so start with another loss.

    Args:
        window_size: side in pixels of the Gaussian window of sigma 1.5; odd, at least 3.

    Raises:
        ValueError: `window_size` is even or below 3.
    """

    formula = "1 - MS-SSIM(restored, target)"
    origin = "Wang et al., Asilomar 2003; stage 3 of the reference solution. Computed by pytorch-msssim."
    similarity = staticmethod(ms_ssim)
    largest_shrinking = 16  # five scales, each half the previous one
