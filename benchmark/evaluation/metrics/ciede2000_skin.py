"""CIEDE2000 on skin: how far the colour of the restored skin is from the true one."""

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.metrics import ComparisonMetric, Image, ImageComparison, Mask
from benchmark.synthetic_faces.raster import linear_to_lab, to_linear

Floats = NDArray[np.float64]
_LINEAR = to_linear(np.arange(256) / 255)
"""Linear light of each 8-bit level."""
_CHROMA_7 = 25.0**7


class Ciede2000Skin(ComparisonMetric):
    """Mean CIEDE2000 colour difference over the skin; about 1 is the least difference that is seen.

    Skin is what the source knows to be bare skin: drawn faces, and clean faces with masks or aligned as in FFHQ. Images
    of other sources have no value: a guess at the skin from the target would differ from source to source.
    """

    unit, direction, decimals = "ΔE00", "lower", 3
    formula = "mean over bare skin of CIEDE2000 (Sharma et al. 2005, all factors 1) of sRGB under D65"
    needs = ("target", "skin")

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the mean difference; None where the image shows no skin, or it is not known."""
        skin = comparison.skin
        if skin is None or not skin.any():
            return None
        return float(ciede2000(lab_of(comparison.restored, skin), lab_of(comparison.target, skin)).mean())


def lab_of(image: Image, region: Mask) -> Floats:
    """Return CIE Lab under D65 of the pixels of an sRGB image in a region, `N 3`."""
    return linear_to_lab(_LINEAR[image[region]])


def ciede2000(lab: Floats, other: Floats) -> Floats:
    """Return the CIEDE2000 difference of colours in CIE Lab, `... 3` each; all factors are 1.

    Source: Sharma, Wu, Dalal, The CIEDE2000 color-difference formula, Color Research and Application 30 (1), 2005; the
    numbers are those of its equations.
    """
    chroma = (np.hypot(lab[..., 1], lab[..., 2]) + np.hypot(other[..., 1], other[..., 2])) / 2  # 2, 3
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + _CHROMA_7))  # 4, 5
    (lightness, chroma_1, hue_1), (lightness_2, chroma_2, hue_2) = (_polar(side, stretch) for side in (lab, other))
    is_grey = chroma_1 * chroma_2 == 0
    turn = hue_2 - hue_1
    turn = np.where(is_grey, 0, turn - 360 * np.sign(turn) * (np.abs(turn) > 180))  # 10
    hue_step = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn / 2))  # 11
    mean_lightness, mean_chroma = (lightness + lightness_2) / 2, (chroma_1 + chroma_2) / 2  # 12, 13
    total = hue_1 + hue_2
    wrapped = (total + np.where(total < 360, 360, -360)) / 2
    hue = np.where(is_grey, total, np.where(np.abs(hue_1 - hue_2) > 180, wrapped, total / 2))  # 14
    shape = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )  # 15
    away = np.square(mean_lightness - 50)
    of_lightness = (lightness_2 - lightness) / (1 + 0.015 * away / np.sqrt(20 + away))  # 8, 18
    of_chroma = (chroma_2 - chroma_1) / (1 + 0.045 * mean_chroma)  # 9, 19
    of_hue = hue_step / (1 + 0.015 * mean_chroma * shape)  # 20
    angle = 60 * np.exp(-np.square((hue - 275) / 25))  # twice that of 16
    rotation = -2 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + _CHROMA_7)) * np.sin(np.radians(angle))  # 17, 21
    square = of_lightness**2 + of_chroma**2 + of_hue**2 + rotation * of_chroma * of_hue
    return np.sqrt(np.maximum(square, 0))  # 22


def _polar(lab: Floats, stretch: Floats) -> tuple[Floats, Floats, Floats]:
    """Return lightness, chroma and hue in degrees from 0 to 360, with a stretched (5 to 7)."""
    a = stretch * lab[..., 1]
    return lab[..., 0], np.hypot(a, lab[..., 2]), np.degrees(np.arctan2(lab[..., 2], a)) % 360
