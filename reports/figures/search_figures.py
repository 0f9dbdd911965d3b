"""Figures of a search: its history, its parameters side by side, and the front of several objectives.

Call all functions within `figure_output.style()`.
"""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

import json
import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.figures.figure_output import COLOURS, INK, PAPER, QUIET, TRACE, axis_label, bracketed, panel
from reports.metrics import Metric
from reports.results.trials import Trial
from reports.text import printable

_LOG_BEYOND = 20.0
"""An axis is logarithmic where its values differ by more than this factor."""
_BEST_SHARE = 0.2
"""Of the trials, those whose lines have another colour."""


def history(trials: Sequence[Trial], last_values: Mapping[int, float], metric: Metric) -> Figure:
    """Draw all trials in their order: finished ones, the best so far, pruned ones, and those without a value.

    Args:
        trials: By number, at least one with a value.
        last_values: Of pruned trials, what they had reached when they were ended.
        metric: What trials are compared by.
    """
    finished = [(trial.number, trial.value) for trial in trials if trial.value is not None]
    figure, axes = panel(3.4)
    best, course = finished[0][1], list[float]()
    for _, value in finished:
        best = min(best, value, key=metric.sort_key)
        course.append(best)
    axes.plot(*zip(*finished, strict=True), "o", color=COLOURS[0], markeredgecolor=PAPER, label="trained to its end")
    axes.step([number for number, _ in finished], course, where="post", color=COLOURS[1], label="best so far")
    pruned = [(number, value) for number, value in last_values.items()]
    if pruned:
        axes.plot(
            *zip(*pruned, strict=True), "v", color=COLOURS[0], markerfacecolor=PAPER, label="ended early, so far"
        )  # fmt: skip
    bottom = axes.get_ylim()[0]
    without = [trial for trial in trials if trial.value is None and trial.number not in last_values]
    for index, status in enumerate(dict.fromkeys(trial.status for trial in without)):
        numbers = [trial.number for trial in without if trial.status == status]
        axes.plot(
            numbers, [bottom] * len(numbers), "x+1*"[index % 4], color=QUIET, clip_on=False, label=printable(status)
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(bracketed(f"val {metric.label}", metric.unit))
    figure.legend(loc="outside upper left", ncols=5)
    return figure


def parallel_coordinates(ranked: Sequence[Trial], parameters: Sequence[str]) -> Figure | None:
    """Draw each trial as a line over all parameters, the best fifth in another colour; None below two parameters.

    Args:
        ranked: Trials with a value, the best first.
        parameters: Their parameters.
    """
    whole = [trial for trial in ranked if all(parameter in trial.values for parameter in parameters)]
    if len(parameters) < 2 or len(whole) < 2:
        return None
    figure, axes = panel(3.2)
    columns = [_shares([trial.values[parameter] for trial in whole]) for parameter in parameters]
    best = max(1, round(len(whole) * _BEST_SHARE))
    for index in reversed(range(len(whole))):
        colour, width = (COLOURS[1], 1.8) if index < best else (TRACE, 0.9)
        axes.plot(range(len(parameters)), [shares[index] for shares, _, _ in columns], color=colour, linewidth=width)
    axes.set_xticks(range(len(parameters)), [printable(_short(parameter)) for parameter in parameters], color=INK)
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    for place, (_, low, high) in enumerate(columns):
        axes.text(place, -0.1, printable(low), ha="center", fontsize=8, color=QUIET)
        axes.text(place, 1.06, printable(high), ha="center", fontsize=8, color=QUIET)
    axes.spines["left"].set_visible(False)
    return figure


def front_plot(
    points: Mapping[int, tuple[float, float]], front: Sequence[int], picked: int | None, x: Metric, y: Metric
) -> Figure:
    """Draw all finished trials by two objectives, and those of the front with their numbers.

    Args:
        points: Values of both objectives, by number of the trial.
        front: Numbers of the trials of the front.
        picked: The one in best.yaml.
        x: The objective to the right.
        y: The one upwards.
    """
    figure, axes = panel(3.8)
    others = [point for number, point in points.items() if number not in front]
    if others:
        axes.plot(*zip(*others, strict=True), "o", color=TRACE, markeredgecolor=PAPER, label="beaten")
    best = sorted(points[number] for number in front if number in points)
    axes.plot(*zip(*best, strict=True), "o-", color=COLOURS[0], markeredgecolor=PAPER, linewidth=1.2, label="front")
    if picked is not None and picked in points:
        axes.plot(*points[picked], "D", color=COLOURS[1], markeredgecolor=PAPER, markersize=9, label="in best.yaml")
    for number in front:
        if number in points:
            axes.annotate(str(number), points[number], xytext=(4, 4), textcoords="offset points", fontsize=8, color=INK)
    axes.set_xlabel(axis_label(x))
    axes.set_ylabel(axis_label(y))
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _shares(values: Sequence[object]) -> tuple[list[float], str, str]:
    """Return where values lie between their ends, 0 to 1, and both ends in words; texts lie side by side."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        words = [value if isinstance(value, str) else json.dumps(value) for value in values]
        names = sorted(set(words))
        places = {name: index / max(1, len(names) - 1) for index, name in enumerate(names)}
        return [places[word] for word in words], names[0][:18], names[-1][:18]
    low, high = min(numbers), max(numbers)
    if low > 0 and high > _LOG_BEYOND * low:
        numbers = [math.log(number) for number in numbers]
    begin, size = min(numbers), max(numbers) - min(numbers)
    return [(number - begin) / size if size else 0.5 for number in numbers], f"{low:.3g}", f"{high:.3g}"


def _short(path: str) -> str:
    return path.removeprefix("protocol.").removeprefix("model.")
