"""The figures of an audit: what lies between degraded and target. Call within `drawing.style()`."""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from reports.figures.figure_output import COLOURS, INK, QUIET, Drawing, canvas, render

_THRESHOLD_LEVELS = 30
_CHANNELS = (("red", COLOURS[1]), ("green", COLOURS[2]), ("blue", COLOURS[0]))
_MOST_DOTS = 400


@dataclass(frozen=True)
class Audited:
    """The numbers of one pair, in 8-bit levels; None where there are none to give."""

    name: str
    split: str
    height: int
    width: int
    psnr_db: float | None
    histogram: tuple[int, ...]
    severe_share: float
    severe_energy: float | None
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    regions: tuple[int, ...]
    shift_px: float | None

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Audited":
        """From the record. Raises KeyError, TypeError, ValueError for other data."""
        return cls(
            name=str(data["name"]),
            split=str(data["split"]),
            height=int(data["height"]),
            width=int(data["width"]),
            psnr_db=_number(data["psnr_db"]),
            histogram=tuple(int(count) for count in data["histogram"]),
            severe_share=float(data["severe_share"]),
            severe_energy=_number(data["severe_energy"]),
            gain=tuple(float(value) for value in data["gain"]),
            offset=tuple(float(value) for value in data["offset"]),
            regions=tuple(int(count) for count in data["regions"]),
            shift_px=_number(data["shift"]["pixels"]) if data["shift"] else None,
        )

    @property
    def percent_severe_energy(self) -> float | None:
        return None if self.severe_energy is None else 100 * self.severe_energy


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def drawings(pairs: Sequence[Audited]) -> tuple[Drawing, ...]:
    """All figures of at least one pair."""
    return (
        render(
            _histogram(pairs),
            "histogram",
            "Pixels by the largest difference of a channel between degraded and target, all pairs together, on a "
            "logarithmic scale. Right of the dashed line pixels count as severe.",
            "Histogram of the difference between degraded and target in 8-bit levels.",
        ),
        render(
            _spreads(pairs),
            "spreads",
            "Pairs by PSNR of the degraded image, by their share of severe pixels, and by how much of the squared "
            "error these hold. A high share of the error in few pixels asks for a network that finds spots; a low one "
            "for a global correction.",
            "Three histograms of pairs; their quartiles are in the table above.",
        ),
        render(
            _global_change(pairs),
            "gain_offset",
            "Gain and offset of each channel on the pixels that are not severe; a dot is a pair, the bar the median. "
            "In target = K × degraded + D + degraded, K is the gain less 1.",
            "Dot plots of gain and offset for red, green and blue; the numbers are in the table above.",
        ),
        render(
            _regions(pairs),
            "regions",
            "Severe regions by area, all pairs together, and pairs by number of regions.",
            "Histogram of the areas of severe regions, and of their number in each pair.",
        ),
    )


def _histogram(pairs: Sequence[Audited]) -> Figure:
    counts = np.array([pair.histogram for pair in pairs], dtype=np.float64).sum(0)
    figure = canvas(8.2, 3.2)
    axes = figure.add_subplot()
    shares = 100 * counts / counts.sum()
    axes.bar(np.arange(len(shares)), shares, width=1.0, color=COLOURS[0])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.axvline(_THRESHOLD_LEVELS + 0.5, color=COLOURS[1], linestyle="--", linewidth=1.2)
    axes.set_xlim(-1, max(np.flatnonzero(counts).max() + 2, _THRESHOLD_LEVELS + 10))
    axes.set_xlabel("largest difference of a channel, 8-bit levels")
    axes.set_ylabel("pixels, %")
    return figure


def _spreads(pairs: Sequence[Audited]) -> Figure:
    figure = canvas(8.2, 2.9)
    psnr = [pair.psnr_db for pair in pairs if pair.psnr_db is not None]
    energy = [pair.percent_severe_energy for pair in pairs if pair.percent_severe_energy is not None]
    panels = (
        (psnr, "PSNR of degraded, dB"),
        ([100 * pair.severe_share for pair in pairs], "pixels over 30 levels, %"),
        (energy, "their squared error, %"),
    )
    for place, (values, label) in enumerate(panels):
        axes = figure.add_subplot(1, 3, place + 1)
        _count(axes, values, label)
    figure.axes[0].set_ylabel("pairs")
    return figure


def _count(axes: Axes, values: Sequence[float], label: str) -> None:
    if values:
        axes.hist(values, bins=min(24, max(6, round(len(values) ** 0.5))), color=COLOURS[0], edgecolor="white")
        axes.axvline(float(np.median(values)), color=INK, linewidth=1.4)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel(label)


def _global_change(pairs: Sequence[Audited]) -> Figure:
    figure = canvas(8.2, 2.6)
    shown = pairs[:: -(-len(pairs) // _MOST_DOTS)]
    offsets = 0.5 * (np.arange(len(shown)) * 0.618 % 1) - 0.25  # spread evenly, without a random number
    panels = (([pair.gain for pair in shown], "gain", 1.0), ([pair.offset for pair in shown], "offset, levels", 0.0))
    for place, (values, label, neutral) in enumerate(panels):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.axvline(neutral, color=QUIET, linewidth=1)
        for line, (_, colour) in enumerate(_CHANNELS):
            of_channel = [value[line] for value in values]
            axes.plot(of_channel, line + offsets, "o", markersize=3.5, color=colour, alpha=0.6, markeredgewidth=0)
            middle = float(np.median(of_channel))
            axes.plot([middle, middle], [line - 0.35, line + 0.35], color=INK, linewidth=2.2, solid_capstyle="butt")
        axes.set_yticks(range(len(_CHANNELS)), [name for name, _ in _CHANNELS])
        axes.set_ylim(len(_CHANNELS) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(label)
    return figure


def _regions(pairs: Sequence[Audited]) -> Figure:
    figure = canvas(8.2, 2.9)
    kinds = max((len(pair.regions) for pair in pairs), default=0)
    totals = [sum(pair.regions[kind] for pair in pairs if kind < len(pair.regions)) for kind in range(kinds)]
    axes = figure.add_subplot(1, 2, 1)
    axes.bar(range(kinds), totals, width=0.9, color=COLOURS[0])
    step = max(1, -(-kinds // 6))
    axes.set_xticks(range(0, kinds, step), [f"{2**kind:,}" for kind in range(0, kinds, step)])
    axes.set_xlabel("area from, pixels (each bar twice the last)")
    axes.set_ylabel("regions")
    beside = figure.add_subplot(1, 2, 2)
    _count(beside, [float(sum(pair.regions)) for pair in pairs], "regions in a pair")
    beside.set_ylabel("pairs")
    return figure
