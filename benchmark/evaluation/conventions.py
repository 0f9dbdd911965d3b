"""Conventions by which papers score images, by name: `rgb`, `y_channel`, `border: 4`.

Every row has PSNR and SSIM of RGB without a border. Another convention gives further metrics whose names say it:
`psnr_y` and `ssim_y` are of Y with 4 px of border, `psnr_border_8` of RGB with 8 px, `psnr_y_border_0` of Y with none.
"""

# pytorch_msssim and parts of torch ship no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ssim

from benchmark.errors import ComponentError
from benchmark.evaluation.evaluate import Metrics
from benchmark.evaluation.metrics import ComparisonMetric, Image, ImageComparison, Metric
from benchmark.evaluation.metrics.psnr import decibels
from benchmark.evaluation.metrics.psnr_y import BORDER_PX, luma
from benchmark.evaluation.metrics.ssim import MIN_SIDE
from benchmark.registry import Registry

_MOST_BORDER_PX = 1000


@dataclass(frozen=True)
class Convention:
    """Which numbers of an image are scored: Y or RGB, without `border` pixels at each side."""

    is_luma: bool = False
    border: int = 0

    @property
    def suffix(self) -> str:
        """The end of the names of its metrics; empty for what every row is scored on."""
        usual = BORDER_PX if self.is_luma else 0
        return f"{'_y' if self.is_luma else ''}{'' if self.border == usual else f'_border_{self.border}'}"

    def planes(self, image: Image) -> NDArray[np.float64]:
        """Return what is scored of an image, `C H W`."""
        height, width = image.shape[:2]
        inner = image[self.border : height - self.border, self.border : width - self.border]
        return luma(inner)[None] if self.is_luma else inner.transpose(2, 0, 1).astype(np.float64)

    def describe(self) -> str:
        """Return the convention in words, for the formula of a metric."""
        channels = "Y of BT.601 in studio range" if self.is_luma else "R, G and B"
        return f"{channels}, {self.border} px of border cut"


def _psnr_by(convention: Convention) -> Metric:
    class ConventionPsnr(ComparisonMetric):
        """PSNR by a convention."""

        unit, direction, decimals, needs = "dB", "higher", 2, ("target",)
        formula = f"PSNR of {convention.describe()}, peak 255"

        def compute(self, comparison: ImageComparison) -> float | None:
            """Return the PSNR; None for an image that is all border."""
            if min(comparison.target.shape[:2]) <= 2 * convention.border:
                return None
            restored, target = (convention.planes(image) for image in (comparison.restored, comparison.target))
            return decibels(255**2, float(np.square(restored - target).mean()))

    return ConventionPsnr()


def _ssim_by(convention: Convention) -> Metric:
    class ConventionSsim(ComparisonMetric):
        """SSIM by a convention."""

        direction, needs = "higher", ("target",)
        formula = f"SSIM of {convention.describe()}, 11 x 11 Gaussian of sigma 1.5, valid region, peak 255"

        def compute(self, comparison: ImageComparison) -> float | None:
            """Return the SSIM; None for an image smaller than border and window."""
            if min(comparison.target.shape[:2]) < MIN_SIDE + 2 * convention.border:
                return None
            images = (comparison.restored, comparison.target)
            planes = (torch.from_numpy(np.ascontiguousarray(convention.planes(image)))[None] for image in images)
            with torch.inference_mode(), torch.autocast("cpu", enabled=False):
                return float(ssim(*planes, data_range=255))

    return ConventionSsim()


def convention_of(names: Iterable[str]) -> Convention:
    """Return the convention with these names: `rgb` or `y_channel`, and `border: PIXELS`.

    Raises:
        ComponentError: There is no such convention, or two exclude each other.
    """
    borders, channels = set[int](), set[str]()
    for name in names:
        match = re.fullmatch(r"border\s*[:=]\s*(\d{1,4})", name.strip())
        if match and int(match[1]) <= _MOST_BORDER_PX:
            borders.add(int(match[1]))
        elif name.strip() in ("rgb", "y_channel"):
            channels.add(name.strip())
        else:
            raise ComponentError(
                f"no convention {name!r}; use rgb, y_channel, and 'border: 4' (up to {_MOST_BORDER_PX} pixels)"
            )
    for values in (borders, channels):
        if len(values) > 1:
            shown = " and ".join(map(str, sorted(values)))
            raise ComponentError(
                f"{shown} as conventions exclude each other; choose one, and evaluate again for the other"
            )
    return Convention("y_channel" in channels, max(borders, default=0))


def metrics_of(convention: Convention, registry: Registry) -> Metrics:
    """Return the metrics of a convention by name; none for that of every row."""
    if not convention.suffix:
        return {}
    if convention.suffix == "_y":
        return {name: registry.create("metric", name, {}) for name in ("psnr_y", "ssim_y")}
    return {
        f"psnr{convention.suffix}": _psnr_by(convention),
        f"ssim{convention.suffix}": _ssim_by(convention),
    }
