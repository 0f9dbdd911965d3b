"""Where an image was retouched, and the part of it that is texture."""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, maximum_filter

from benchmark.data import damage_mask

DILATION_PX: Final = 2

_LUMA_THOUSANDTHS = np.array([299, 587, 114], dtype=np.float64)
_BINOMIAL = (0.25, 0.5, 0.25)


def find_spots(degraded: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The spots of a pair, `H W`: pixels over the threshold, and all within 2 rows and 2 columns of one.

    The threshold is the rule of the reference solution, the dilation takes in the soft edge of a spot. The
    rest of the image is the background.
    """
    dilated = maximum_filter(damage_mask(degraded, target), size=2 * DILATION_PX + 1, mode="constant")
    return np.asarray(dilated, dtype=np.bool_)


def texture_band(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What an image `H W 3` holds at periods of about 1 to 4 px, `H W`, in thousandths of an 8-bit level.

    Luminance (BT.601) minus its blur by [1 2 1] / 4 in both directions: a difference of Gaussians whose wide
    one is the binomial of sigma 0.71 px, and whose narrow one is the pixel itself, since a grid holds no
    period below 2 px. The amplitude kept of a horizontal or vertical wave is sin^2(pi / period): all at 2 px,
    three quarters at 3 px, half at 4 px, a seventh at 8 px. Luminance, because colour at these periods is
    mostly sensor noise. Every step is exact in float64, so a flat image has exactly no texture.
    """
    luminance = image @ _LUMA_THOUSANDTHS
    blurred = correlate1d(correlate1d(luminance, _BINOMIAL, axis=0), _BINOMIAL, axis=1)
    return luminance - np.asarray(blurred, dtype=np.float64)
