"""What a report must know of a metric: its unit, its decimals, which direction is better.

A metric that is not listed (`psnr_y601_u8`) takes the facts of the longest listed name it begins with; a wholly unknown
one is shown with four decimals and taken for "higher is better", as the record format says.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """How one metric is shown and compared."""

    name: str
    label: str
    unit: str
    decimals: int
    """Decimals of values."""
    difference_decimals: int
    """Decimals of differences."""
    better: Literal["higher", "lower", "near 1"]
    meaning: str

    def badness(self, value: float) -> float:
        """A number that is smaller the better the value."""
        if self.better == "near 1":
            return abs(value - 1)
        return value if self.better == "lower" else -value

    def gain(self, value: float, reference: float) -> float:
        """How much better `value` is than `reference`, in the metric's unit; negative where it is worse."""
        return self.badness(reference) - self.badness(value)


_LISTED = (
    Metric("psnr", "PSNR", "dB", 2, 3, "higher", "Peak signal-to-noise ratio of the whole image, RGB, 8 bit."),
    Metric("psnr_spots", "PSNR spots", "dB", 2, 3, "higher", "PSNR inside the regions that had to change."),
    Metric("psnr_background", "PSNR background", "dB", 2, 3, "higher", "PSNR outside the regions that had to change."),
    Metric("score", "score", "", 5, 5, "higher", "(PSNR / 100 + MS-SSIM) / 2, the retouching contest's score."),
    Metric("ssim", "SSIM", "", 4, 4, "higher", "Structural similarity, 11 x 11 Gaussian window, per channel."),
    Metric("ms_ssim", "MS-SSIM", "", 5, 5, "higher", "Structural similarity over five scales."),
    Metric(
        "harm",
        "harm",
        "levels",
        3,
        3,
        "lower",
        "Error added to the background that was right before, mean in 8-bit levels; lower is better.",
    ),
    Metric(
        "fixed_share",
        "fixed share",
        "",
        3,
        3,
        "higher",
        "Share of the error in the regions to change that is gone; 1 is all, 0 is as before.",
    ),
    Metric(
        "texture",
        "texture",
        "",
        3,
        3,
        "near 1",
        "Energy of fine detail on the background, restored to target; best at 1, below 1 is smoothed away.",
    ),
    Metric("gain_error", "error of K", "%", 3, 3, "lower", "Mean absolute error of the predicted gain map."),
    Metric(
        "gain_error_constant",
        "K, best constant",
        "%",
        3,
        3,
        "lower",
        "Error of K of the best constant, channel by channel; what is not below it has not been recovered.",
    ),
    Metric("spots_error", "error of D", "levels", 3, 3, "lower", "Mean absolute error of the predicted map of spots."),
    Metric("spots_error_constant", "D, best constant", "levels", 3, 3, "lower", "Error of D of the best constant."),
    Metric("region_iou", "IoU of the region", "", 3, 3, "higher", "Overlap of predicted mask and severe damage."),
)

ORDER = tuple(metric.name for metric in _LISTED)


def metric(name: str) -> Metric:
    """The facts of the metric called `name`; never fails."""
    for listed in sorted(_LISTED, key=lambda listed: -len(listed.name)):
        if name == listed.name:
            return listed
        if name.startswith(f"{listed.name}_"):
            return replace(listed, name=name, label=name, meaning=f"A variant of {listed.label}.")
    return Metric(name, name, "", 4, 4, "higher", "")


def ordered(names: set[str], first: str) -> list[str]:
    """Metric names for columns: `first`, then the listed ones in their order, then the others by name."""
    known = [name for name in ORDER if name in names and name != first]
    others = sorted(names - set(known) - {first})
    return ([first] if first in names else []) + known + others
