"""The Pareto plot: quality against latency, one marker a row, as geometry.

The HTML page draws the geometry with markers that link to their rows; `pareto_figure` draws it for the Markdown page.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from reports import text
from reports.figures.drawing import axis_label
from reports.figures.scales import Rule, Scale, is_wide
from reports.figures.svg import Anchor
from reports.metrics import Metric
from reports.results.summary import BASE, Summary, latency

WIDTH, HEIGHT = 820, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 806, 22, 402
_LARGEST_RADIUS, _SMALLEST_RADIUS = 11.0, 4.5
_LETTER, _LINE = 6.8, 15.0
"""Width of a letter and height of a line of a label, px, estimated generously."""
_LABEL_GAPS = (5.0, 14.0, 24.0, 36.0, 50.0)
"""Distances of a label from its marker, px, in the order they are tried."""
_LABEL_PLACES: tuple[tuple[float, float, float, Anchor], ...] = (
    (1.0, 0.0, 4.0, "start"), (-1.0, 0.0, 4.0, "end"), (0.0, -1.0, 0.0, "middle"), (0.0, 1.0, 9.0, "middle"),
    (0.72, -0.72, 0.0, "start"), (0.72, 0.72, 9.0, "start"), (-0.72, -0.72, 0.0, "end"), (-0.72, 0.72, 9.0, "end"),
)  # fmt: skip
"""Direction of a label from its marker (x, y), how far its baseline is lower (px), its anchor; in the same order."""
_FAR_LABEL = 24.0
"""From this distance on, a line connects label and marker."""
_MOST_LABELS = 12
COLOURS = 6
"""So many tables have a colour of their own."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""


@dataclass(frozen=True)
class Point:
    """A row in the plane of latency and quality."""

    row: Summary
    latency_ms: float
    quality: float
    weight_bytes: float

    @property
    def table(self) -> str:
        """The row's first table; empty for base."""
        return self.row.tables[0] if self.row.tables else ""


@dataclass(frozen=True)
class Label:
    """The name beside a marker."""

    text: str
    x: float
    y: float
    anchor: Anchor
    is_far: bool


@dataclass(frozen=True)
class Marker:
    """One row; `rank` is its place in the ranking, `colour` the number of its table."""

    rank: int
    row: str
    x: float
    y: float
    radius: float
    colour: int
    fails: bool
    """The row fails a gate."""
    description: str
    label: Label | None


@dataclass(frozen=True)
class ParetoPlot:
    """Everything the plot shows, in px from its top left corner."""

    width: int
    height: int
    plane: Box
    markers: tuple[Marker, ...]
    x_ticks: tuple[Rule, ...]
    y_ticks: tuple[Rule, ...]
    limits: tuple[Rule, ...]
    """Latency limits of gates that were measured here."""
    baselines: tuple[Rule, ...]
    outside: tuple[str, ...]
    """Limits and baselines that lie far outside the plot, in words."""
    x_label: str
    y_label: str
    tables: tuple[tuple[int, str], ...]
    """Colour and name of each table."""


def points(rows: Sequence[Summary], primary: Metric) -> list[Point]:
    """Return the trained rows with a finished seed, a latency measured on this machine and a file size."""
    shown: list[Point] = []
    for row in rows:
        gate, quality = latency(row), row.mean(primary.name)
        if not row.is_baseline and gate and gate.measured is not None and quality is not None and row.model:
            shown.append(Point(row, gate.measured, quality, row.model.file_bytes or 0))
    return shown


def named_points(shown: Sequence[Point], primary: Metric) -> list[Point]:
    """Return the points that carry a name: all if few, otherwise base and those that no point beats in both."""
    if len(shown) <= _MOST_LABELS:
        return list(shown)

    def is_beaten(point: Point) -> bool:
        return any(
            other.latency_ms <= point.latency_ms and primary.gain(other.quality, point.quality) > 0 for other in shown
        )

    return [point for point in shown if point.row.row == BASE or not is_beaten(point)]


def pareto_plot(
    shown: Sequence[Point], trained: Sequence[Summary], baselines: Sequence[Summary], primary: Metric
) -> ParetoPlot:
    """Lay out the plot.

    Args:
        shown: The points, at least one.
        trained: The trained rows in the order of the ranking.
        baselines: The rows that need no training; each is a line.
        primary: The metric that measures quality.
    """
    limits = sorted({(gate.limit, gate.name) for point in shown if (gate := latency(point.row)) and gate.limit})
    levels = [
        (mean, f"{text.printable(row.row)} {text.number(mean, primary.decimals)}")
        for row in baselines
        if (mean := row.mean(primary.name)) is not None
    ]
    x = _latency_axis([point.latency_ms for point in shown], [limit for limit, _ in limits])
    y = _quality_axis([point.quality for point in shown], [level for level, _ in levels])
    tables = list(dict.fromkeys(sorted((point.table for point in shown), key=bool)))
    outside = [
        f"{text.with_unit(label, primary.unit)} ({'below' if level < y.low else 'above'})"
        for level, label in levels
        if not y.low <= level <= y.high
    ]
    outside += [
        f"limit {limit:g} ms of gate {text.printable(name)} (right)" for limit, name in limits if limit > x.high
    ]
    return ParetoPlot(
        width=WIDTH,
        height=HEIGHT,
        plane=(_LEFT, _TOP, _RIGHT, _BOTTOM),
        markers=_markers(shown, [row.row for row in trained], tables, x, y, primary),
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        limits=tuple(
            Rule(x.position(limit), f"{text.printable(name)}: at most {limit:g} ms")
            for limit, name in limits
            if x.low <= limit <= x.high
        ),
        baselines=tuple(Rule(y.position(level), label) for level, label in levels if y.low <= level <= y.high),
        outside=tuple(outside),
        x_label="latency of one image on this machine, ms (less is better)",
        y_label=axis_label(primary),
        tables=tuple((place % COLOURS, text.printable(table) or BASE) for place, table in enumerate(tables)),
    )


def _latency_axis(times: Sequence[float], limits: Sequence[float]) -> Scale:
    """Return an axis that holds all times, and the limits that are not far beyond them."""
    is_log = is_wide(times)
    right = max(times) * (2.2 if is_log else 1.25) or 1.0
    right = max([right, *(1.08 * limit for limit in limits if limit <= 2.5 * right)])
    return Scale(min(times) / 1.6 if is_log else 0.0, right, _LEFT, _RIGHT, is_log)


def _quality_axis(values: Sequence[float], baselines: Sequence[float]) -> Scale:
    """Return an axis that holds all rows and the baselines near them; a far one would flatten the rest."""
    height = max(max(values) - min(values), 1e-3 * max(abs(max(values)), 1e-6))
    near = [level for level in baselines if min(values) - 2 * height <= level <= max(values) + 2 * height]
    return Scale(min([*values, *near]) - 0.2 * height, max([*values, *near]) + 0.2 * height, _BOTTOM, _TOP)


def _markers(
    shown: Sequence[Point], ranking: Sequence[str], tables: Sequence[str], x: Scale, y: Scale, primary: Metric
) -> tuple[Marker, ...]:
    """Return the markers, large ones first, so that small ones lie above them."""
    largest = max(point.weight_bytes for point in shown)
    named = named_points(shown, primary)
    places = [(x.position(point.latency_ms), y.position(point.quality), _radius(point, largest)) for point in shown]
    taken: list[Box] = [(px - r, py - r, px + r, py + r) for px, py, r in places]
    markers: list[Marker] = []
    for point, (px, py, radius) in zip(shown, places, strict=True):
        row = text.printable(point.row.row)
        facts = [
            f"{text.with_unit(text.number(point.quality, primary.decimals), primary.unit)} {primary.label}",
            f"{text.significant(point.latency_ms)} ms",
            f"{text.megabytes(point.weight_bytes)} MB" if point.weight_bytes else "",
            "fails a gate" if point.row.failed_gates else "",
        ]
        markers.append(
            Marker(
                rank=1 + ranking.index(point.row.row),
                row=row,
                x=px,
                y=py,
                radius=radius,
                colour=tables.index(point.table) % COLOURS,
                fails=bool(point.row.failed_gates),
                description=f"{row}: {', '.join(filter(None, facts))}",
                label=_label(px, py, radius, row, taken) if point in named else None,
            )
        )
    return tuple(sorted(markers, key=lambda marker: -marker.radius))


def _radius(point: Point, largest: float) -> float:
    """Return the radius in px; the area is proportional to the file size."""
    share = point.weight_bytes / largest if largest else 0.25
    return round(max(_LARGEST_RADIUS * math.sqrt(share), _SMALLEST_RADIUS), 1)


def _label(x: float, y: float, radius: float, name: str, taken: list[Box]) -> Label:
    """Place a label where it covers least, near places first, and add its box to `taken`."""
    width = _LETTER * len(name)
    candidates: list[tuple[float, Label, Box]] = []
    for gap, (across, down, lower, anchor) in itertools.product(_LABEL_GAPS, _LABEL_PLACES):
        px, py = x + across * (radius + gap), y + down * (radius + gap) + lower
        left = px - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
        box = (left, py - _LINE + 3, left + width, py + 3)
        # Half a label outside the plot is worse than two labels that touch.
        cost = sum(_overlap(box, other) for other in taken) + 3 * (
            width * _LINE - _overlap(box, (_LEFT, 0, WIDTH, _BOTTOM))
        )
        label = Label(name, round(px, 1), round(py, 1), anchor, gap >= _FAR_LABEL)
        candidates.append((round(cost, 6), label, box))
    _, label, box = min(candidates, key=lambda candidate: candidate[0])
    taken.append(box)
    return label


def _overlap(box: Box, other: Box) -> float:
    """Return the area that two boxes share, in square px."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
