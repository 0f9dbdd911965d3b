"""The figures of a data audit: how degraded images differ from their targets."""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from pydantic import ConfigDict

from reports.figures.figure_output import COLOURS, INK, PAPER, QUIET, RenderedFigure, canvas, render
from reports.schema import FileModel

_THRESHOLD_LEVELS = 30
_CHANNELS = (("red", COLOURS[1]), ("green", COLOURS[2]), ("blue", COLOURS[0]))
_MOST_DOTS = 400


class Shift(FileModel):
    """How far the two images of a pair are displaced."""

    model_config = ConfigDict(extra="ignore")

    pixels: float


class AuditedPair(FileModel):
    """The numbers of one pair in audit.json, in 8-bit levels; None where there is nothing to give."""

    model_config = ConfigDict(extra="ignore")

    name: str
    split: str
    height: int
    width: int
    psnr_db: float | None
    histogram: tuple[int, ...]
    severe_share: float
    severe_energy: float | None
    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    regions: tuple[int, ...]
    shift: Shift | None

    @property
    def shift_px(self) -> float | None:
        """Displacement in px."""
        return self.shift.pixels if self.shift else None

    @property
    def percent_severe_energy(self) -> float | None:
        """Share of the squared error in severe pixels, in percent."""
        return None if self.severe_energy is None else 100 * self.severe_energy


def audit_figures(pairs: Sequence[AuditedPair]) -> tuple[RenderedFigure, ...]:
    """Draw all figures of at least one pair. Call within `figure_output.style()`."""
    return (
        render(
            _histogram(pairs),
            "histogram",
            "How many pixels differ by how much: the largest difference of a channel between degraded and target, all "
            "pairs together, on a logarithmic scale. Pixels right of the dashed line count as severe.",
            "Histogram of the difference between degraded and target in 8-bit levels.",
        ),
        render(
            _spreads(pairs),
            "spreads",
            "Number of pairs by PSNR of the degraded image, by share of severe pixels, and by the share of the squared "
            "error in those pixels. If few pixels hold most of the error, a network has to find spots. If they hold "
            "little of it, a global correction matters more.",
            "Three histograms of pairs; their quartiles are in the table above.",
        ),
        render(
            _global_change(pairs),
            "gain_offset",
            "Gain and offset of each channel on the pixels that are not severe. A dot is a pair, the bar is the "
            "median. In target = K × degraded + D + degraded, K is the gain minus 1.",
            "Dot plots of gain and offset for red, green and blue; the numbers are in the table above.",
        ),
        render(
            _regions(pairs),
            "regions",
            "Number of severe regions by area, all pairs together, and number of pairs by their regions.",
            "Histogram of the areas of severe regions, and of their number in each pair.",
        ),
    )


def _histogram(pairs: Sequence[AuditedPair]) -> Figure:
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


def _spreads(pairs: Sequence[AuditedPair]) -> Figure:
    figure = canvas(8.2, 2.9)
    psnr = [pair.psnr_db for pair in pairs if pair.psnr_db is not None]
    energy = [pair.percent_severe_energy for pair in pairs if pair.percent_severe_energy is not None]
    severe = [100 * pair.severe_share for pair in pairs]
    panels = ((psnr, "PSNR of degraded, dB"), (severe, "pixels over 30 levels, %"), (energy, "their squared error, %"))
    for place, (values, label) in enumerate(panels):
        _pair_histogram(figure.add_subplot(1, 3, place + 1), values, label)
    figure.axes[0].set_ylabel("pairs")
    return figure


def _pair_histogram(axes: Axes, values: Sequence[float], label: str) -> None:
    if values:
        axes.hist(values, bins=min(24, max(6, round(len(values) ** 0.5))), color=COLOURS[0], edgecolor=PAPER)
        axes.axvline(float(np.median(values)), color=INK, linewidth=1.4)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel(label)


def _global_change(pairs: Sequence[AuditedPair]) -> Figure:
    figure = canvas(8.2, 2.6)
    shown = pairs[:: -(-len(pairs) // _MOST_DOTS)]
    offsets = 0.5 * (np.arange(len(shown)) * 0.618 % 1) - 0.25  # spread evenly without random numbers
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


def _regions(pairs: Sequence[AuditedPair]) -> Figure:
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
    _pair_histogram(beside, [float(sum(pair.regions)) for pair in pairs], "regions in a pair")
    beside.set_ylabel("pairs")
    return figure
