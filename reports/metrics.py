"""The metrics of every row: name, unit, direction, decimals and formula. The only place where these facts stand.

`benchmark.evaluation` computes the metrics and takes the facts from here, as `reports` does. Any other metric, of this
project or of a plugin, brings its own facts, which the record of a row carries (`schema.Record.metrics`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

TEST: Final = "test"
"""The test set that rows are ranked on; an experiment may have further ones."""
Direction = Literal["higher", "lower", "near 1"]
"""Which values are better."""


@dataclass(frozen=True)
class Metric:
    """How one metric is named, compared and shown.

    Attributes:
        name: The name in YAML and records.
        label: The name in tables.
        unit: Empty for a pure number.
        decimals: Decimals of values.
        difference_decimals: Decimals of differences.
        direction: Which values are better.
        meaning: One sentence for readers of a table.
        formula: What is computed; empty where it is not known.
        bounds: The least and the most that it can be, infinite where it has none.
    """

    name: str
    label: str
    unit: str
    decimals: int
    difference_decimals: int
    direction: Direction
    meaning: str
    formula: str = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def sort_key(self, value: float) -> float:
        """Return a number that is the smaller the better `value` is."""
        if self.direction == "near 1":
            return abs(value - 1)
        return value if self.direction == "lower" else -value

    def gain(self, value: float, reference: float) -> float:
        """Return how much better `value` is than `reference`, in the metric's unit; negative where it is worse."""
        return self.sort_key(reference) - self.sort_key(value)


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


IMAGE_METRICS: Final[Mapping[str, Metric]] = _by_name(
    Metric(
        "psnr", "PSNR", "dB", 2, 3, "higher",
        "Peak signal-to-noise ratio of the whole image, RGB, 8 bit.",
        "10 log10(255^2 / mean (restored - target)^2) over RGB, at most 100.",
        (0, 100),
    ),
    Metric(
        "psnr_spots", "PSNR spots", "dB", 2, 3, "higher",
        "PSNR inside the regions that had to change.",
        "PSNR over the spots: any channel of |target - degraded| > 30, dilated by 2 px.",
        (0, 100),
    ),
    Metric(
        "psnr_background", "PSNR background", "dB", 2, 3, "higher",
        "PSNR outside the regions that had to change.",
        "PSNR over all pixels that are not spots.",
        (0, 100),
    ),
    Metric(
        "score", "score", "", 5, 5, "higher",
        "(PSNR / 100 + MS-SSIM) / 2, the retouching contest's score.",
        "(psnr / 100 + ms_ssim) / 2, the score of the retouching contest.",
        (0, 1),
    ),
    Metric(
        "ssim", "SSIM", "", 4, 4, "higher",
        "Structural similarity, 11 x 11 Gaussian window, per channel.",
        "SSIM, 11 x 11 Gaussian of sigma 1.5, valid region, mean over RGB.",
        (-1, 1),
    ),
    Metric(
        "ms_ssim", "MS-SSIM", "", 5, 5, "higher",
        "Structural similarity over five scales.",
        "MS-SSIM over 5 scales, same window, mean over RGB; from 161 px a side.",
        (0, 1),
    ),
    Metric(
        "harm", "harm", "levels", 3, 3, "lower",
        "What a row made worse outside the spots, mean in 8-bit levels; 0 is none.",
        "Mean over the background of max(0, |restored - target| - |degraded - target|), in 8-bit levels.",
        (0, 255),
    ),
    Metric(
        "fixed_share", "fixed share", "", 3, 3, "higher",
        "Share of the error in the regions to change that is gone; 1 is all, 0 is as before.",
        "1 - sum |restored - target| / sum |degraded - target| over the spots; below 0 is made worse.",
        (-math.inf, 1),
    ),
    Metric(
        "texture", "texture", "", 3, 3, "near 1",
        "Energy of fine detail on the background, restored to target; best at 1, below 1 is smoothed away.",
        "Energy of luminance at 1-4 px periods over the background, restored / target; below 1 is smoothed.",
        (0, math.inf),
    ),
)  # fmt: skip
"""Metrics of a restored image, in the order of reports. Every row is scored on them."""

MAP_METRICS: Final[Mapping[str, Metric]] = _by_name(
    Metric(
        "gain_error", "error of K", "%", 3, 3, "lower",
        "Mean absolute error of the predicted gain map.",
        "100 * mean |K - true K|; a K of one channel against the mean over RGB.",
        (0, math.inf),
    ),
    Metric(
        "gain_error_constant", "K, best constant", "%", 3, 3, "lower",
        "Error of K of the best constant, channel by channel; what is not below it has not been recovered.",
        "gain_error of the best constant: the median of the true K over all images, channel by channel.",
        (0, math.inf),
    ),
    Metric(
        "spots_error", "error of D", "levels", 3, 3, "lower",
        "Mean absolute error of the predicted map of spots.",
        "255 * mean |D - true D|, in 8-bit levels.",
        (0, math.inf),
    ),
    Metric(
        "spots_error_constant", "D, best constant", "levels", 3, 3, "lower",
        "Error of D of the best constant.",
        "spots_error of the best constant, the median of the true D, in 8-bit levels.",
        (0, math.inf),
    ),
    Metric(
        "region_iou", "IoU of the region", "", 3, 3, "higher",
        "Overlap of predicted mask and severe damage.",
        "Pixels in both of M > 0.5 and any channel of |target - degraded| > 30, divided by those in either.",
        (0, 1),
    ),
)  # fmt: skip
"""Metrics of the maps that a head predicts, in the order of reports. Rows whose losses supervise the maps have them."""

METRICS: Final[Mapping[str, Metric]] = {**IMAGE_METRICS, **MAP_METRICS}
"""All built-in metrics, in the order of reports."""


COSTS: Final[Mapping[str, Metric]] = _by_name(
    Metric("size_mb", "file", "MB", 3, 3, "lower", "Weights in float32, 10^6 bytes."),
    Metric("parameters", "parameters", "", 0, 0, "lower", "Weights of the network."),
    Metric("macs", "multiply-adds", "", 0, 0, "lower", "Multiply-adds for one image of 256 x 256."),
    Metric("latency_ms", "latency", "ms", 1, 2, "lower", "Of the first latency gate that was measured."),
)
"""What a search may minimise beside the metrics of images."""


def split_of(name: str) -> tuple[str, str]:
    """Return the metric and the test set of a name such as `psnr@photographs`; without `@` it is on `test`."""
    metric, _, test_set = name.partition("@")
    return metric, test_set or TEST


def metric(name: str) -> Metric:
    """Return the facts of the metric called `name`; never fails.

    On a further test set (`psnr@photographs`) it has the facts that it has on test.
    A variant (`psnr_y601_u8`) takes the facts of the longest built-in name it begins with. An unknown metric is shown
    with four decimals, and higher is taken for better.
    """
    bare, test_set = split_of(name)
    if bare != name:
        facts = metric(bare)
        return replace(facts, name=name, label=f"{facts.label} on {test_set}")
    for builtin in sorted(METRICS.values(), key=lambda builtin: -len(builtin.name)):
        if name == builtin.name:
            return builtin
        if name.startswith(f"{builtin.name}_"):
            return replace(builtin, name=name, label=name, meaning=f"A variant of {builtin.label}.", formula="")
    return own_metric(name, "", "higher", "", 4)


def own_metric(name: str, unit: str, direction: Direction, meaning: str, decimals: int) -> Metric:
    """Return the facts of a metric that brings its own: shown under its name."""
    return Metric(name, name, unit, decimals, max(decimals, 3), direction, meaning)


def ordered(names: set[str], first: str) -> list[str]:
    """Return metric names for columns: `first`, then the built-in ones in their order, then the others by name."""
    builtin = [name for name in METRICS if name in names and name != first]
    return ([first] if first in names else []) + builtin + sorted(names - set(builtin) - {first})
