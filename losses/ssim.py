"""Structural similarity (SSIM) at one scale as a loss."""

from pytorch_msssim import ssim

from losses._shared import StructuralLoss


class Ssim(StructuralLoss):
    """1 - SSIM over the windows that lie within the patch, mean over RGB and images.

    With a window of 11 pixels it is the SSIM of the metric; values of different window sizes are not comparable. The
    restored image is not clamped. The gradient has about 14 times the norm of that of L1 (on synthetic faces from 26 to
    39 dB), so a weight of 0.07 gives both the same influence.

    Args:
        window_size: side in pixels of the Gaussian window of sigma 1.5; odd, at least 3, and the smallest side of a
            patch.

    Raises:
        ValueError: `window_size` is even or below 3.
    """

    formula = "1 - SSIM(restored, target)"
    origin = (
        "Wang et al., IEEE TIP 2004; as a loss of restoration Zhao et al., IEEE TCI 2017. Computed by pytorch-msssim."
    )
    similarity = staticmethod(ssim)
