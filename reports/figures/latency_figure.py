"""The figure of latencies: one line a network, one dot a runtime. To be called within `drawing.style()`."""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from reports.figures.figure_output import COLOURS, MARKERS, canvas, logarithmic_x
from reports.text import printable


@dataclass(frozen=True)
class Timing:
    """A network under one condition; `image` is height × width in pixels. Without a median, `remark` says why."""

    network: str
    image: str
    runtime: str
    protocol: str
    median_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    remark: str


def latency_bars(timings: Sequence[Timing]) -> Figure:
    """The medians, logarithmic where they differ by more than 20 times; networks without one have an empty line."""
    names = list(dict.fromkeys(one.network for one in timings))
    runtimes = list(dict.fromkeys(one.runtime for one in timings))
    figure = canvas(8.2, 1.35 + 0.36 * len(names))
    axes = figure.add_subplot()
    for place, runtime in enumerate(runtimes):
        spots = [(one.median_ms, names.index(one.network)) for one in timings if one.runtime == runtime]
        axes.plot(
            [median for median, _ in spots if median is not None],
            [line for median, line in spots if median is not None],
            linestyle="none",
            marker=MARKERS[place % len(MARKERS)],
            color=COLOURS[place % len(COLOURS)],
            markersize=7.5,
            markeredgecolor="white",
            markeredgewidth=0.8,
            label=printable(runtime),
        )
    medians = [one.median_ms for one in timings if one.median_ms]
    if medians and max(medians) > 20 * min(medians):
        logarithmic_x(axes)
    else:
        axes.set_xlim(left=0)
    axes.set_yticks(range(len(names)), [printable(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xlabel("median time of one image, ms (less is better)")
    figure.legend(loc="outside upper left", ncols=min(len(runtimes), 5))
    return figure
