"""The metrics of one restored image.

Each short name means one recipe: RGB, clamped and rounded to 8 bits, full image, no border cut. Any other
convention must carry its recipe in its name.
"""

# pytorch_msssim and parts of torch ship no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from math import log10
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ms_ssim, ssim
from torch import Tensor

from benchmark.errors import DataError
from benchmark.evaluation.regions import find_spots, texture_band

PSNR_CAP_DB: Final = 100.0
"""What equal images count as, so that a mean stays finite; no image with an error counts more."""
SSIM_MIN_SIDE: Final = 11
MS_SSIM_MIN_SIDE: Final = 161
_PEAK = 255


def score_image(
    restored: NDArray[np.uint8], degraded: NDArray[np.uint8], target: NDArray[np.uint8]
) -> dict[str, float]:
    """The metrics of a restored image by name, in the order of `reports.metrics.IMAGE_METRICS`, all finite.

    The images are `H W 3` uint8 of one size. A metric that has no pixels to look at is absent: `ssim` below
    11 px a side, `ms_ssim` and `score` below 161 px, `psnr_spots` and `fixed_share` without spots, the others
    of a region without background, and `texture` also where the target's background is flat. Raises DataError
    if the images are not uint8 `H W 3` of one size.
    """
    _check(restored, degraded, target)
    spots = find_spots(degraded, target)
    background = ~spots
    error, damage = _distance(restored, target), _distance(degraded, target)
    psnr = _psnr(error, np.ones_like(spots))
    similarity, multi_scale = _similarities(restored, target)
    values = {
        "psnr": psnr,
        "psnr_spots": _psnr(error, spots),
        "psnr_background": _psnr(error, background),
        "score": None if psnr is None or multi_scale is None else (psnr / 100 + multi_scale) / 2,
        "ssim": similarity,
        "ms_ssim": multi_scale,
        "harm": _harm(error, damage, background),
        "fixed_share": _fixed_share(error, damage, spots),
        "texture": _texture(restored, target, background),
    }
    return {name: value for name, value in values.items() if value is not None}


def psnr(restored: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """The metric `psnr` alone, for where the others are not wanted. Raises DataError as `score_image` does."""
    _check(restored, target)
    decibels = _psnr(_distance(restored, target), np.ones(target.shape[:2], np.bool_))
    return PSNR_CAP_DB if decibels is None else decibels


def _check(*images: NDArray[np.uint8]) -> None:
    shapes = [f"{image.dtype} {' x '.join(map(str, image.shape))}" for image in images]
    alike = len(set(shapes)) == 1
    if not (alike and images[0].dtype == np.uint8 and images[0].ndim == 3 and images[0].shape[2] == 3):
        raise DataError(
            "restored, degraded and target must be uint8 H x W x 3 of one size, not (of those compared, in this order) "
            + ", ".join(shapes)
        )


def _distance(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.abs(image.astype(np.int32) - target)


def _region_sum(values: NDArray[np.int32], region: NDArray[np.bool_]) -> int:
    """Sum over the pixels of a region and the three channels, exact."""
    return int((values * region[..., None]).sum(dtype=np.int64))


def _psnr(error: NDArray[np.int32], region: NDArray[np.bool_]) -> float | None:
    if not region.any():
        return None
    squared_error = _region_sum(error * error, region)
    if squared_error == 0:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 10 * log10(_PEAK**2 * 3 * int(np.count_nonzero(region)) / squared_error))


def _similarities(restored: NDArray[np.uint8], target: NDArray[np.uint8]) -> tuple[float | None, float | None]:
    """SSIM and MS-SSIM, each None where the image is too small for it."""
    side = min(restored.shape[:2])
    images = _planes(restored), _planes(target)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return (
            float(ssim(*images, data_range=_PEAK)) if side >= SSIM_MIN_SIDE else None,
            float(ms_ssim(*images, data_range=_PEAK)) if side >= MS_SSIM_MIN_SIDE else None,
        )


def _planes(image: NDArray[np.uint8]) -> Tensor:
    """`1 3 H W` float32, 8-bit levels."""
    # The channels stay innermost in memory, where the blurs take half the time.
    return torch.from_numpy(image.astype(np.float32, order="C")[None]).permute(0, 3, 1, 2)


def _fixed_share(error: NDArray[np.int32], damage: NDArray[np.int32], spots: NDArray[np.bool_]) -> float | None:
    if not spots.any():
        return None
    return 1 - _region_sum(error, spots) / _region_sum(damage, spots)


def _harm(error: NDArray[np.int32], damage: NDArray[np.int32], background: NDArray[np.bool_]) -> float | None:
    if not background.any():
        return None
    return _region_sum(np.maximum(error - damage, 0), background) / (3 * int(np.count_nonzero(background)))


def _texture(restored: NDArray[np.uint8], target: NDArray[np.uint8], background: NDArray[np.bool_]) -> float | None:
    target_energy = _energy(target, background)
    return _energy(restored, background) / target_energy if target_energy > 0 else None


def _energy(image: NDArray[np.uint8], region: NDArray[np.bool_]) -> float:
    return float(np.square(texture_band(image)[region]).sum())
