"""The forest plot: differences to base with their intervals, seed by seed. To be called within `drawing.style()`."""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.figure_output import COLOURS, INK, QUIET, canvas
from reports.figures.run_figures import with_bracketed_unit
from reports.metrics import Metric
from reports.results.summary import Difference
from reports.statistics.verdicts import Verdict
from reports.text import printable

_BAND = "#eef1f5"


def forest(
    found: Sequence[Difference], verdicts: Mapping[str, Verdict], primary: Metric, margin: float, reference: str
) -> Figure:
    """One line a row: the difference with its interval, if any, a small dot a seed; the band is too small to matter."""
    figure = canvas(8.2, 1.15 + 0.42 * len(found))
    axes = figure.add_subplot()
    if margin:
        axes.axvspan(-margin, margin, color=_BAND, zorder=0)
    axes.axvline(0, color=QUIET, linewidth=1)
    for line, one in enumerate(found):
        _seeds(axes, line, list(one.by_seed.values()))
        _interval(axes, line, one, verdicts.get(one.row))
    axes.set_yticks(range(len(found)), [printable(one.row) for one in found])
    axes.set_ylim(len(found) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(with_bracketed_unit(f"{primary.label} minus that of {printable(reference)}", primary.unit))
    return figure


def _seeds(axes: Axes, line: int, values: Sequence[float]) -> None:
    axes.plot(
        values,
        [line + 0.24] * len(values),  # below the interval, so that neither hides the other
        linestyle="none",
        marker="o",
        markersize=4,
        markerfacecolor=COLOURS[5],
        markeredgecolor="white",
        markeredgewidth=0.5,
    )


def _interval(axes: Axes, line: int, one: Difference, verdict: Verdict | None) -> None:
    estimate = verdict.estimate if verdict else None
    if estimate:
        ends = [estimate.low, estimate.high]
        axes.plot(ends, [line, line], color=INK, linewidth=1.6, solid_capstyle="butt")
        axes.plot(ends, [line, line], linestyle="none", marker="|", markersize=8, color=INK)
    # Hollow where no word is given: the interval alone does not decide there.
    face = COLOURS[0] if verdict and verdict.word else "#ffffff"
    axes.plot([one.mean], [line], marker="s", markersize=7, markerfacecolor=face, markeredgecolor=COLOURS[0])
