"""Figures of a search: its history, its parameters one by one and side by side, and the front of two objectives."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from reports.figures import svg
from reports.figures.axes import (
    RIGHT,
    Area,
    across,
    heading,
    label_below,
    panel_area,
    panel_height,
    ticks_below,
    up,
)
from reports.figures.drawing import (
    PANEL_WIDTH,
    WIDTH,
    Drawing,
    Key,
    Sketch,
    axis_label,
    bracketed,
    line_key,
    marker_key,
)
from reports.figures.scales import Rule, Scale, is_wide, spanning, text_width
from reports.metrics import Metric
from reports.results.trials import Trial
from reports.text import printable

_BEST_SHARE = 0.2
"""Of the trials, those whose lines have another colour."""
_MOST_PANELS = 8
_LONGEST_NAME, _LONGEST_END = 24, 18
"""Letters of a value that is a word: below an axis, at an end of a line."""
_TURN = -35
_DOT = 4.0


def history(trials: Sequence[Trial], last_values: Mapping[int, float], metric: Metric) -> Sketch:
    """Draw all trials in their order: finished ones, the best so far, pruned ones, and those without a value.

    Args:
        trials: By number, at least one with a value.
        last_values: Of pruned trials, what they had reached when they were ended.
        metric: What trials are compared by.
    """
    finished = [(trial.number, trial.value) for trial in trials if trial.value is not None]
    without = [trial for trial in trials if trial.value is None and trial.number not in last_values]
    statuses = list(dict.fromkeys(trial.status for trial in without))
    area = Area(56, 26, WIDTH - RIGHT, 226)
    x = spanning([trial.number for trial in trials], area.left, area.right, pad=0.03)
    y = spanning([*(value for _, value in finished), *last_values.values()], area.bottom, area.top, pad=0.08)
    marks = [
        heading(area, bracketed(f"val {metric.label}", metric.unit)),
        up(area, y),
        across(area, x, "trial", whole=True),
        svg.curve(
            [(x.position(number), y.position(value)) for number, value in _best_so_far(finished, metric)], "curve s1"
        ),
    ]
    for number, value in finished:
        place = (x.position(number), y.position(value))
        marks.append(svg.marker(0, place, _DOT, "dot s0", f"trial {number}: {value:.4g}"))
    for number, value in last_values.items():
        place = (x.position(number), y.position(value))
        marks.append(svg.marker(4, place, _DOT, "hollow s0", f"trial {number}, ended early at {value:.4g}"))
    for trial in without:
        place = (x.position(trial.number), area.bottom)
        marks.append(
            svg.marker(
                _shape(statuses, trial.status), place, _DOT, "hollow ink", f"trial {trial.number}: {trial.status}"
            )
        )
    keys = [Key(svg.marker(0, (0, 0), _DOT, "dot s0"), "trained to its end"), line_key(1, "best so far")]
    keys += [Key(svg.marker(4, (0, 0), _DOT, "hollow s0"), "ended early, so far")] if last_values else []
    keys += [Key(svg.marker(_shape(statuses, status), (0, 0), _DOT, "hollow ink"), status) for status in statuses]
    return Sketch((Drawing(WIDTH, panel_height(area), "".join(marks)),), tuple(keys))


def parallel_coordinates(ranked: Sequence[Trial], parameters: Sequence[str]) -> Sketch | None:
    """Draw each trial as a line over all parameters, the best fifth in another colour; None below two parameters.

    Args:
        ranked: Trials with a value, the best first.
        parameters: Their parameters.
    """
    whole = [trial for trial in ranked if all(parameter in trial.values for parameter in parameters)]
    if len(parameters) < 2 or len(whole) < 2:
        return None
    area = Area(60, 26, WIDTH - 60, 200)
    columns = [_shares([trial.values[parameter] for trial in whole]) for parameter in parameters]
    step = (area.right - area.left) / (len(parameters) - 1)
    places = [area.left + index * step for index in range(len(parameters))]
    best = max(1, round(len(whole) * _BEST_SHARE))
    marks = [svg.line((place, area.top), (place, area.bottom), "grid") for place in places]
    for index in reversed(range(len(whole))):  # the best last, so that none covers them
        heights = [area.bottom + shares[index] * (area.top - area.bottom) for shares, _, _ in columns]
        marks.append(svg.curve(list(zip(places, heights, strict=True)), "curve s1" if index < best else "trace"))
    for index, (place, parameter, (_, low, high)) in enumerate(zip(places, parameters, columns, strict=True)):
        marks.append(svg.label(high, (place, area.top - 8), "tick", "middle"))
        marks.append(svg.label(low, (place, area.bottom + 16), "tick", "middle"))
        lower = 18 * (index % 2)  # neighbours in two lines, so that long names do not touch
        marks.append(svg.label(_short(parameter), (place, area.bottom + 36 + lower), "", "middle"))
    keys = (
        Key(svg.curve([(-7, 0), (7, 0)], "curve s1"), "best fifth"),
        Key(svg.curve([(-7, 0), (7, 0)], "trace"), "other trials"),
    )
    return Sketch((Drawing(WIDTH, round(area.bottom) + 64, "".join(marks)),), keys)


def front_plot(
    points: Mapping[int, tuple[float, float]], front: Sequence[int], picked: int | None, x: Metric, y: Metric
) -> Sketch:
    """Draw all finished trials by two objectives, and those of the front with their numbers.

    Args:
        points: Values of both objectives, by number of the trial.
        front: Numbers of the trials of the front.
        picked: The one in best.yaml.
        x: The objective to the right.
        y: The one upwards.
    """
    area = Area(60, 26, WIDTH - RIGHT, 260)
    right = spanning([point[0] for point in points.values()], area.left, area.right)
    upwards = spanning([point[1] for point in points.values()], area.bottom, area.top)
    places = {number: (right.position(a), upwards.position(b)) for number, (a, b) in points.items()}
    hints = {number: f"trial {number}: {a:.4g}, {b:.4g}" for number, (a, b) in points.items()}
    best = sorted((number for number in front if number in points), key=lambda number: points[number])
    marks = [heading(area, axis_label(y)), up(area, upwards), across(area, right, axis_label(x))]
    marks += [
        svg.marker(0, places[number], _DOT, "hollow ink", hints[number]) for number in points if number not in front
    ]
    marks.append(svg.curve([places[number] for number in best], "curve s0"))
    for number in best:
        shape, look = (2, "dot s1") if number == picked else (0, "dot s0")
        marks.append(svg.marker(shape, places[number], _DOT + (number == picked), look, hints[number]))
        marks.append(svg.label(str(number), (places[number][0] + 6, places[number][1] - 6), "name"))
    beaten = [Key(svg.marker(0, (0, 0), _DOT, "hollow ink"), "beaten")] if len(best) < len(points) else []
    chosen = [Key(svg.marker(2, (0, 0), _DOT, "dot s1"), "in best.yaml")] if picked in best else []
    return Sketch((Drawing(WIDTH, panel_height(area), "".join(marks)),), (*beaten, marker_key(0, "front"), *chosen))


def parameter_slices(trials: Sequence[Trial], parameters: Sequence[str], metric: Metric, best: Trial) -> Sketch | None:
    """Draw the metric over each parameter, the best trial in another colour; None where there is no parameter."""
    shown = parameters[:_MOST_PANELS]
    return Sketch(tuple(_slice(trials, parameter, metric, best) for parameter in shown)) if shown else None


def _best_so_far(finished: Sequence[tuple[int, float]], metric: Metric) -> list[tuple[int, float]]:
    """Return the corners of the steps of the best value."""
    values = [value for _, value in finished]
    best = [min(values[: end + 1], key=metric.sort_key) for end in range(len(values))]
    course = [(number, value) for (number, _), value in zip(finished, best, strict=True)]
    corners = course[:1]
    for (_, before), (number, value) in pairwise(course):
        corners += [(number, before), (number, value)]
    return corners


def _shape(statuses: Sequence[str], status: str) -> int:
    return (6, 5, 3, 7)[statuses.index(status) % 4]


def _slice(trials: Sequence[Trial], parameter: str, metric: Metric, best: Trial) -> Drawing:
    having = [trial for trial in trials if parameter in trial.values]
    positions, names = _positions([trial.values[parameter] for trial in having])
    values = [trial.value if trial.value is not None else 0.0 for trial in having]
    area = panel_area(110)
    x = spanning(positions, area.left, area.right, pad=0.08, is_log=not names and is_wide(positions))
    y = spanning(values, area.bottom, area.top)
    marks = [heading(area, bracketed(f"val {metric.label}", metric.unit)), up(area, y, most=4)]
    label, below = printable(_short(parameter)), 0
    if names:
        below = round(0.6 * max(map(text_width, names)))
        marks.append(_named_ticks(area, x, names))
    else:
        marks.append(ticks_below(area, _apart(x.ticks(3))))
    marks.append(label_below(Area(area.left, area.top, area.right, area.bottom + below), label))
    # The best trial last, so that none covers it.
    points = sorted(zip(having, positions, values, strict=True), key=lambda point: point[0].number == best.number)
    for trial, position, value in points:
        radius, look = (5.0, "dot s1") if trial.number == best.number else (3.6, "dot s0")
        place = (x.position(position), y.position(value))
        marks.append(svg.marker(0, place, radius, look, f"trial {trial.number}: {value:.4g}"))
    return Drawing(PANEL_WIDTH, panel_height(area) + below, "".join(marks))


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
    words = [_in_words(value) for value in values]
    names = list(dict.fromkeys(words))
    return [float(names.index(word)) for word in words], [name[:_LONGEST_NAME] for name in names]


def _shares(values: Sequence[object]) -> tuple[list[float], str, str]:
    """Return where values lie between their ends, 0 to 1, and both ends in words; texts lie side by side."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        words = [_in_words(value) for value in values]
        names = sorted(set(words))
        places = {name: index / max(1, len(names) - 1) for index, name in enumerate(names)}
        return [places[word] for word in words], names[0][:_LONGEST_END], names[-1][:_LONGEST_END]
    low, high = min(numbers), max(numbers)
    if is_wide(numbers):
        numbers = [math.log(number) for number in numbers]
    begin, size = min(numbers), max(numbers) - min(numbers)
    return [(number - begin) / size if size else 0.5 for number in numbers], f"{low:.3g}", f"{high:.3g}"


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(path: str) -> str:
    return path.removeprefix("protocol.").removeprefix("model.")
