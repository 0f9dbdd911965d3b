"""The Pareto plot: quality against latency, one marker a row, as geometry and as a static figure.

The HTML page draws the geometry itself, because markers that link to their rows must be part of the page. The same
geometry is drawn with matplotlib for the Markdown page and the figure files.
"""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from reports import text
from reports.figures.figure_output import COLOURS, GRID, INK, MARKERS, QUIET, axis_label, canvas
from reports.metrics import Metric
from reports.results.summary import BASE, Summary, latency

WIDTH, HEIGHT = 820, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 806, 22, 402
_LARGEST_RADIUS, _SMALLEST_RADIUS = 11.0, 4.5
_LETTER, _LINE = 6.8, 15.0
"""Width of a letter and height of a line of a label, px, estimated generously."""
_LABEL_GAPS = (5.0, 14.0, 24.0, 36.0, 50.0)
"""Distances of a label from its marker, px, in the order they are tried."""
_LABEL_PLACES = (
    (1.0, 0.0, 4.0, "start"), (-1.0, 0.0, 4.0, "end"), (0.0, -1.0, 0.0, "middle"), (0.0, 1.0, 9.0, "middle"),
    (0.72, -0.72, 0.0, "start"), (0.72, 0.72, 9.0, "start"), (-0.72, -0.72, 0.0, "end"), (-0.72, 0.72, 9.0, "end"),
)  # fmt: skip
"""Direction of a label from its marker (x, y), how far its baseline is lower (px), its anchor; in the same order."""
_FAR_LABEL = 24.0
"""From this distance on, a line connects label and marker."""
_MOST_LABELS = 12
_COLOURS = (INK, COLOURS[1], COLOURS[2], COLOURS[3], COLOURS[4], COLOURS[0])
_LOG_BEYOND = 20.0
"""The latency axis is logarithmic where latencies differ by more than this factor."""

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
    """The name beside a marker; `anchor` is start, middle or end, as in SVG."""

    text: str
    x: float
    y: float
    anchor: str
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
class Rule:
    """A tick, or a line across the plot, at `at` px."""

    at: float
    label: str


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


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def position(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.is_log else v for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> tuple[Rule, ...]:
        locator = LogLocator(subs=(1, 2, 5)) if self.is_log else MaxNLocator(6)
        values = [float(value) for value in locator.tick_values(self.low, self.high) if self.low <= value <= self.high]
        return tuple(Rule(self.position(value), f"{value:g}") for value in values)


def points(rows: Sequence[Summary], primary: Metric) -> list[Point]:
    """Return the trained rows with a finished seed, a latency measured on this machine and a file size."""
    shown: list[Point] = []
    for row in rows:
        gate, quality = latency(row), row.mean(primary.name)
        if not row.is_baseline and gate and gate.measured is not None and quality is not None and row.model:
            shown.append(Point(row, gate.measured, quality, row.model.weight_bytes.get("float32", 0)))
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
        tables=tuple((place % len(_COLOURS), text.printable(table) or BASE) for place, table in enumerate(tables)),
    )


def static_figure(plot: ParetoPlot) -> Figure:
    """Draw the plot with matplotlib. Call within `figure_output.style()`."""
    figure = canvas(plot.width / 100, plot.height / 100, layout=None)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, plot.width), ylim=(plot.height, 0))
    axes.set_axis_off()
    points_per_px = 0.72
    left, top, right, bottom = plot.plane
    size: dict[str, Any] = {"fontsize": 8.2}
    for tick in plot.x_ticks:
        axes.plot([tick.at, tick.at], [top, bottom], color=GRID, linewidth=0.8)
        axes.text(tick.at, bottom + 17, tick.label, ha="center", color=QUIET, **size)
    for tick in plot.y_ticks:
        axes.plot([left, right], [tick.at, tick.at], color=GRID, linewidth=0.8)
        axes.text(left - 8, tick.at + 4, tick.label, ha="right", color=QUIET, **size)
    for place, line in enumerate(plot.baselines):
        axes.plot([left, right], [line.at, line.at], color=QUIET, linestyle=":", linewidth=1.2)
        axes.text(left + 6 + 130 * place, line.at - 4, line.label, color=QUIET, **size)
    for line in plot.limits:
        axes.plot([line.at, line.at], [top, bottom], color=COLOURS[1], linestyle="--", linewidth=1.2)
        axes.text(line.at - 4, top + 4, line.label, ha="right", va="top", rotation=90, color=COLOURS[1], **size)
    axes.text((left + right) / 2, bottom + 40, plot.x_label, ha="center", **size)
    axes.text(4, top - 8, plot.y_label, **size)
    for marker in plot.markers:
        colour, shape = _COLOURS[marker.colour], MARKERS[marker.colour]
        axes.plot(
            [marker.x], [marker.y], marker=shape, markersize=2 * points_per_px * marker.radius, color=colour,
            markerfacecolor="#ffffff" if marker.fails else colour, alpha=0.85, zorder=3,
        )  # fmt: skip
        if label := marker.label:
            if label.is_far:
                axes.plot([marker.x, label.x], [marker.y, label.y - 4], color=QUIET, linewidth=0.6)
            side = {"start": "left", "middle": "center", "end": "right"}[label.anchor]
            axes.text(label.x, label.y, label.text, ha=side, zorder=4, **size)
    if len(plot.tables) > 1:
        handles = [
            Line2D([], [], linestyle="none", marker=MARKERS[colour], color=_COLOURS[colour], label=name)
            for colour, name in plot.tables
        ]
        axes.legend(
            handles=handles, ncols=len(handles), loc="lower right", bbox_to_anchor=(right, top),
            bbox_transform=axes.transData, borderaxespad=0, handletextpad=0, columnspacing=1,
        )  # fmt: skip
    return figure


def _latency_axis(times: Sequence[float], limits: Sequence[float]) -> _Axis:
    """Return an axis that holds all times, and the limits that are not far beyond them."""
    is_log = max(times) > _LOG_BEYOND * min(times) > 0
    right = max(times) * (2.2 if is_log else 1.25) or 1.0
    right = max([right, *(1.08 * limit for limit in limits if limit <= 2.5 * right)])
    return _Axis(min(times) / 1.6 if is_log else 0.0, right, _LEFT, _RIGHT, is_log)


def _quality_axis(values: Sequence[float], baselines: Sequence[float]) -> _Axis:
    """Return an axis that holds all rows and the baselines near them; a far one would flatten the rest."""
    height = max(max(values) - min(values), 1e-3 * max(abs(max(values)), 1e-6))
    near = [level for level in baselines if min(values) - 2 * height <= level <= max(values) + 2 * height]
    return _Axis(min([*values, *near]) - 0.2 * height, max([*values, *near]) + 0.2 * height, _BOTTOM, _TOP)


def _markers(
    shown: Sequence[Point], ranking: Sequence[str], tables: Sequence[str], x: _Axis, y: _Axis, primary: Metric
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
                colour=tables.index(point.table) % len(_COLOURS),
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
