"""Figures of a search: the course of its trials, and the metric over each parameter."""

import json
from collections.abc import Sequence
from itertools import pairwise

from reports.figures import svg
from reports.figures.axes import Area, across, heading, label_below, panel_area, panel_height, ticks_below, up
from reports.figures.figure_output import PANEL_WIDTH, WIDTH, Drawing, Sketch, bracketed, line_key, marker_key
from reports.figures.scales import Rule, Scale, is_wide, spanning, text_width
from reports.metrics import Metric
from reports.results.trials import Trial
from reports.text import printable

_MOST_PANELS = 8
_LONGEST_NAME = 24
"""Letters of a value that is a word."""
_TURN = -35


def search_course(trials: Sequence[Trial], metric: Metric) -> Sketch:
    """Draw the metric of each trial, and the best so far; all `trials` have a value."""
    values = [trial.value for trial in trials if trial.value is not None]
    numbers = [float(trial.number) for trial in trials]
    best = [min(values[: end + 1], key=metric.sort_key) for end in range(len(values))]
    area = Area(56, 26, WIDTH - 12, 230)
    x = spanning(numbers, area.left, area.right, pad=0.03)
    y = spanning(values, area.bottom, area.top)
    corners = [(numbers[0], best[0])]
    for (_, before), (number, value) in pairwise(zip(numbers, best, strict=True)):
        corners += [(number, before), (number, value)]
    marks = [
        heading(area, bracketed(f"val {metric.label}", metric.unit)),
        up(area, y),
        across(area, x, "trial", whole=True),
        svg.curve([(x.position(number), y.position(value)) for number, value in corners], "curve s1"),
    ]
    marks += [
        svg.marker(0, (x.position(number), y.position(value)), 4, "dot s0", f"trial {number:g}: {value:.4g}")
        for number, value in zip(numbers, values, strict=True)
    ]
    keys = (marker_key(0, "trial"), line_key(1, "best so far"))
    return Sketch((Drawing(WIDTH, panel_height(area), "".join(marks)),), keys)


def parameter_slices(trials: Sequence[Trial], parameters: Sequence[str], metric: Metric, best: Trial) -> Sketch | None:
    """Draw the metric over each parameter, the best trial in another colour; None where there is no parameter."""
    shown = parameters[:_MOST_PANELS]
    return Sketch(tuple(_slice(trials, parameter, metric, best) for parameter in shown)) if shown else None


def _slice(trials: Sequence[Trial], parameter: str, metric: Metric, best: Trial) -> Drawing:
    having = [trial for trial in trials if parameter in trial.values]
    positions, names = _positions([trial.values[parameter] for trial in having])
    values = [trial.value if trial.value is not None else 0.0 for trial in having]
    area = panel_area(110)
    x = spanning(positions, area.left, area.right, pad=0.08, is_log=not names and is_wide(positions))
    y = spanning(values, area.bottom, area.top)
    marks = [heading(area, bracketed(f"val {metric.label}", metric.unit)), up(area, y, most=4)]
    height = panel_height(area)
    label = printable(parameter.removeprefix("protocol."))
    if names:
        marks.append(_named_ticks(area, x, names))
        below = round(0.6 * max(map(text_width, names)))
        marks.append(label_below(Area(area.left, area.top, area.right, area.bottom + below), label))
        height += below
    else:
        marks.append(ticks_below(area, _apart(x.ticks(3))) + label_below(area, label))
    # The best trial last, so that none covers it.
    points = sorted(zip(having, positions, values, strict=True), key=lambda point: point[0].number == best.number)
    for trial, position, value in points:
        radius, look = (5, "dot s1") if trial.number == best.number else (3.6, "dot s0")
        hint = f"trial {trial.number}: {value:.4g}"
        marks.append(svg.marker(0, (x.position(position), y.position(value)), radius, look, hint))
    return Drawing(PANEL_WIDTH, height, "".join(marks))


def _named_ticks(area: Area, x: Scale, names: Sequence[str]) -> str:
    return "".join(
        svg.line((at, area.top), (at, area.bottom), "grid")
        + svg.label(name, (at + 3, area.bottom + 14), "tick", "end", turn=_TURN)
        for index, name in enumerate(names)
        for at in [x.position(index)]
    )


def _apart(ticks: Sequence[Rule]) -> list[Rule]:
    """Return the ticks whose labels do not touch that of the tick before."""
    kept: list[Rule] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at > 6 + (text_width(tick.label, 12) + text_width(kept[-1].label, 12)) / 2:
            kept.append(tick)
    return kept


def _positions(values: Sequence[object]) -> tuple[list[float], list[str]]:
    """Return positions on an axis, and names where the values are no numbers: those stand side by side."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return [float(value) for value in numbers], []
    words = [value if isinstance(value, str) else json.dumps(value) for value in values]
    names = list(dict.fromkeys(words))
    return [float(names.index(word)) for word in words], [name[:_LONGEST_NAME] for name in names]
