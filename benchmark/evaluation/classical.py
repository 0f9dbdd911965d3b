"""Classical denoisers of scikit-image as baselines: what a network must beat to be worth its weights.

They get the standard deviation of the noise from the training pairs, as published comparisons give it to them. The
other settings are fixed. Non-local means sees the degraded image as the source gives it, unclipped where that is so.
"""

# scikit-image ships no complete types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportMissingImports=false, reportUnknownArgumentType=false

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair, to_levels
from benchmark.errors import ComponentError, DataError
from reports.schema import CLASSICAL_BASELINES

Floats = NDArray[np.float32]
Denoise = Callable[[Floats, float], Any]
"""From an image `H W 3` in [0, 1] units, perhaps outside, and the noise's standard deviation to a restored image."""

_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {"wavelet": ("skimage", "pywt")}
_INSTALLED_AS: Final = {"skimage": "scikit-image", "pywt": "PyWavelets"}


def non_local_means(image: Floats, sigma: float) -> Any:
    """Average patches of 5 x 5 px that look alike, within 6 px (Buades et al. 2005), h = 0.8 sigma."""
    from skimage.restoration import denoise_nl_means

    settings = {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
    return denoise_nl_means(image, h=0.8 * sigma, sigma=sigma, **settings)


def wavelet(image: Floats, sigma: float) -> Any:
    """Shrink wavelet coefficients in YCbCr (BayesShrink, Chang et al. 2000)."""
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(
        np.clip(image, 0, 1), sigma=sigma, method="BayesShrink", convert2ycbcr=True, rescale_sigma=True, channel_axis=-1
    )


def bilateral(image: Floats, sigma: float) -> Any:
    """Average neighbours of like colour within 3 px (Tomasi and Manduchi 1998), sigma wide in colour and 3 px in space.

    On crops of two photographs with noise of 25 levels, one smooth and one full of detail, this gave 33.1 and 25.2 dB;
    a colour width of 2 sigma gave 33.3 and 21.9 dB.
    """
    from skimage.restoration import denoise_bilateral

    settings = {"win_size": 7, "sigma_spatial": 3, "mode": "symmetric", "channel_axis": -1}
    return denoise_bilateral(np.clip(image, 0, 1), sigma_color=sigma, **settings)


DENOISERS: Final[Mapping[str, Denoise]] = dict(
    zip(CLASSICAL_BASELINES, (non_local_means, wavelet, bilateral), strict=True)
)


def fit(name: str, pairs: Iterable[Pair]) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """Return the function that restores an image with a classical denoiser.

    Args:
        name: A key of `DENOISERS`.
        pairs: Training pairs, from which the standard deviation of the noise is measured. Reads one at a time.

    Raises:
        DataError: There are no pairs, or degraded and target are equal.
    """
    sigma = noise_deviation(pairs) / 255
    if sigma == 0:
        raise DataError(f"baseline {name!r}: no training pair has noise; leave it out of baselines")

    def restore(degraded: NDArray[Any]) -> NDArray[np.uint8]:
        return to_levels(255 * np.asarray(DENOISERS[name](np.divide(degraded, 255, dtype=np.float32), sigma)))

    return restore


def noise_deviation(pairs: Iterable[Pair]) -> float:
    """Return the standard deviation of degraded minus target over all pixels, in 8-bit levels; 0 without pairs."""
    squares, values = 0.0, 0
    for pair in pairs:
        error = pair.degraded.astype(np.float64) - pair.target
        squares, values = squares + float(np.square(error).sum()), values + error.size
    return float(np.sqrt(squares / values)) if values else 0.0


def packages_of(name: str) -> str:
    """Return the packages that a classical baseline needs, as they are installed: `scikit-image and PyWavelets`."""
    return " and ".join(_INSTALLED_AS[module] for module in _modules_of(name))


def _modules_of(name: str) -> tuple[str, ...]:
    return _PACKAGES.get(name, ("skimage",))


def check_installed(name: str) -> None:
    """Check that what a classical baseline needs is installed.

    Raises:
        ComponentError: With what to install.
    """
    missing = [_INSTALLED_AS[package] for package in _modules_of(name) if importlib.util.find_spec(package) is None]
    if missing:
        packages = " and ".join(missing)
        raise ComponentError(
            f"baselines: {name} needs {packages}; install it with `pip install -e .[classical]`, or leave {name} out"
        )
