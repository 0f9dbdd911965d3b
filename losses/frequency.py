"""L1 between the Fourier transforms of restored and target: an error at every frequency instead of every pixel."""

from typing import Literal

import torch
from torch import Tensor

from heads import Restoration
from losses import Batch, Loss


class Frequency(Loss):
    """Mean distance of Fourier coefficients over batch, channels and all frequencies of the patch.

    The transform is orthonormal (divided by sqrt(H W)), so its scale is that of L1 for patches of any size: the
    gradient has the same norm, and an error that is noise of standard deviation s costs 0.89 s (L1: 0.80 s). The
    weighting differs: a cast c over N pixels costs c / sqrt(N) (L1: c), and so does a single pixel with error c
    (L1: c / N).

    Args:
        mode: "complex" for |F(restored) - F(target)|, amplitude and phase; "amplitude" for
            ||F(restored)| - |F(target)||, which is blind to position (a patch shifted with wrap-around costs nothing),
            so combine it with a pixel loss.
    """

    formula = (
        "complex: mean |F(restored) - F(target)|; amplitude: mean ||F(restored)| - |F(target)||, F orthonormal FFT"
    )
    origin = (
        "The frequency loss of MIMO-UNet (Cho et al., ICCV 2021), at one scale, with the modulus in place of "
        "|real| + |imaginary|, which depends on the phase. Normalisation and amplitude form are our choice."
    )

    def __init__(self, mode: Literal["complex", "amplitude"] = "complex") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; its gradient is 0 where restored and target are equal."""
        restored, target = restoration.image.float(), batch.target.float()
        if self.mode == "complex":
            return torch.fft.fft2(restored - target, norm="ortho").abs().mean()
        first, second = (torch.fft.fft2(image, norm="ortho").abs() for image in (restored, target))
        return (first - second).abs().mean()
