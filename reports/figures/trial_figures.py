"""The figures of a search: its course, and the metric over each parameter. To be called within `drawing.style()`."""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

import json
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.figures.figure_output import COLOURS, INK, canvas, logarithmic_x
from reports.figures.run_figures import with_bracketed_unit
from reports.metrics import Metric
from reports.results.trials import Trial
from reports.text import printable

_MOST_PANELS = 8


def course(trials: Sequence[Trial], metric: Metric) -> Figure:
    """The metric of each trial, and the best so far as a line; `trials` are those that have a value."""
    values = [one.value for one in trials if one.value is not None]
    figure = canvas(8.2, 3.4)
    axes = figure.add_subplot()
    numbers = [one.number for one in trials]
    best = [min(values[: end + 1], key=metric.sort_key) for end in range(len(values))]
    axes.plot(numbers, values, linestyle="none", marker="o", color=COLOURS[0], markeredgecolor="white", label="trial")
    axes.step(numbers, best, where="post", color=COLOURS[1], linewidth=1.6, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(with_bracketed_unit(f"val {metric.label}", metric.unit))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def slices(trials: Sequence[Trial], parameters: Sequence[str], metric: Metric, best: Trial) -> Figure | None:
    """The metric over each parameter, one panel each, the best trial marked; None where there is no parameter."""
    shown = parameters[:_MOST_PANELS]
    if not shown:
        return None
    columns = min(len(shown), 4)
    lines = -(-len(shown) // columns)
    figure = canvas(8.2, 0.3 + 2.3 * lines)
    for place, parameter in enumerate(shown):
        axes = figure.add_subplot(lines, columns, place + 1)
        having = [one for one in trials if parameter in one.values]
        axes.set_title(printable(parameter.removeprefix("protocol.")), fontsize=8.5)
        positions, names = _positions([one.values[parameter] for one in having])
        for position, one in zip(positions, having, strict=True):
            is_best = one.number == best.number
            axes.plot(
                [position], [one.value if one.value is not None else 0.0], marker="o", markeredgecolor="white",
                color=COLOURS[1] if is_best else COLOURS[0], markersize=8 if is_best else 6, zorder=3 if is_best else 2,
            )  # fmt: skip
        if names:
            axes.set_xticks(range(len(names)), [printable(name) for name in names], rotation=30, fontsize=8, color=INK)
        elif min(positions) > 0 and max(positions) > 20 * min(positions):
            logarithmic_x(axes)
        else:
            axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    figure.axes[0].set_ylabel(with_bracketed_unit(f"val {metric.label}", metric.unit))
    return figure


def _positions(values: Sequence[object]) -> tuple[list[float], list[str]]:
    """Numbers stay where they are; others stand side by side under their names."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return [float(value) for value in numbers], []
    words = [value if isinstance(value, str) else json.dumps(value) for value in values]
    names = list(dict.fromkeys(words))
    return [float(names.index(word)) for word in words], [name[:24] for name in names]
