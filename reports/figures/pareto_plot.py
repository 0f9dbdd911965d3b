"""The plane of latency and quality as geometry: where each point, tick and line stands in a figure of links.

The page draws it itself, as points that lead to their rows must be part of the page and not of an image.
"""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, MaxNLocator

from reports import text
from reports.figures.run_figures import Point, labelled
from reports.metrics import Metric
from reports.results.summary import Summary, latency

WIDTH, HEIGHT = 820, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 806, 22, 402
_LARGEST_RADIUS, _SMALLEST_RADIUS = 11.0, 4.5
_LETTER, _LINE = 6.4, 15.0
"""Width of a letter and height of a line of a label, px, on the safe side."""
_COLOURS = 6
_LOG_BEYOND = 20.0

Box = tuple[float, float, float, float]
"""left, top, right, bottom in px"""


@dataclass(frozen=True)
class Spot:
    """One row; `rank` is its place in the ranking, `colour` the number of its table's colour."""

    rank: int
    row: str
    x: float
    y: float
    radius: float
    colour: int
    fails: bool
    told: str
    """Its numbers in words."""
    label: tuple[float, float, str] | None
    """x, y and anchor of the name beside it; None where there is no room for names of all."""


@dataclass(frozen=True)
class Rule:
    """A tick or a line across the plane at `at` px."""

    at: float
    label: str


@dataclass(frozen=True)
class Front:
    """Everything the figure shows, in px from its top left corner."""

    width: int
    height: int
    plane: Box
    spots: tuple[Spot, ...]
    x_ticks: tuple[Rule, ...]
    y_ticks: tuple[Rule, ...]
    limits: tuple[Rule, ...]
    """Latency limits that lie in the picture."""
    floors: tuple[Rule, ...]
    """Rows without training that lie in the picture."""
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
    is_log: bool

    def place(self, value: float) -> float:
        scale: Callable[[float], float] = math.log10 if self.is_log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return round(self.start + share * (self.end - self.start), 1)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        locator = LogLocator(subs=(1, 2, 5)) if self.is_log else MaxNLocator(6)
        return [float(value) for value in locator.tick_values(self.low, self.high) if self.holds(value)]


def front(found: Sequence[Point], trained: Sequence[Summary], floors: Sequence[Summary], primary: Metric) -> Front:
    """The figure of `found`, which must not be empty; `trained` are the rows in the order of the ranking."""
    x, y = _latencies(found), _qualities(found, floors, primary)
    tables = list(dict.fromkeys(sorted((_table(point) for point in found), key=bool)))
    ranks = {row.row: rank for rank, row in enumerate(trained, 1)}
    limits = sorted({gate.limit for point in found if (gate := latency(point.row)) and gate.limit})
    values = [(floor.row, floor.mean(primary.name)) for floor in floors]
    return Front(
        width=WIDTH,
        height=HEIGHT,
        plane=(_LEFT, _TOP, _RIGHT, _BOTTOM),
        spots=_spots(found, ranks, tables, x, y, primary),
        x_ticks=tuple(Rule(x.place(value), f"{value:g}") for value in x.ticks()),
        y_ticks=tuple(Rule(y.place(value), f"{value:g}") for value in y.ticks()),
        limits=tuple(Rule(x.place(limit), f"at most {limit:g} ms") for limit in limits if x.holds(limit)),
        floors=tuple(
            Rule(y.place(value), f"{text.printable(row)} {text.number(value, primary.decimals)}")
            for row, value in values
            if value is not None and y.holds(value)
        ),
        x_label="latency of one image on this machine, ms (less is better)",
        y_label=f"{primary.label}, {primary.unit}" if primary.unit else primary.label,
        tables=tuple((index % _COLOURS, text.printable(table) or "base") for index, table in enumerate(tables)),
    )


def _latencies(found: Sequence[Point]) -> _Axis:
    times = [point.latency_ms for point in found]
    if max(times) > _LOG_BEYOND * min(times) > 0:
        return _Axis(min(times) / 1.6, max(times) * 2.2, _LEFT, _RIGHT, is_log=True)
    return _Axis(0.0, max(times) * 1.25 or 1.0, _LEFT, _RIGHT, is_log=False)


def _qualities(found: Sequence[Point], floors: Sequence[Summary], primary: Metric) -> _Axis:
    """Room for the rows and for those floors that are near: far ones would flatten the rest."""
    values = [point.quality for point in found]
    height = max(max(values) - min(values), 1e-3 * max(abs(max(values)), 1e-6))
    near = [mean for floor in floors if (mean := floor.mean(primary.name)) is not None]
    near = [mean for mean in near if min(values) - 2 * height <= mean <= max(values) + 2 * height]
    low, high = min([*values, *near]) - 0.2 * height, max([*values, *near]) + 0.2 * height
    return _Axis(low, high, _BOTTOM, _TOP, is_log=False)


def _spots(
    found: Sequence[Point], ranks: dict[str, int], tables: Sequence[str], x: _Axis, y: _Axis, primary: Metric
) -> tuple[Spot, ...]:
    """Large markers first, so that small ones lie above them."""
    largest = max(point.weight_bytes for point in found)
    named = labelled(found, primary)
    places = [(x.place(point.latency_ms), y.place(point.quality), _radius(point, largest)) for point in found]
    taken: list[Box] = [(px - r, py - r, px + r, py + r) for px, py, r in places]
    spots: list[Spot] = []
    for point, (px, py, radius) in zip(found, places, strict=True):
        name = text.printable(point.row.row)
        label = _label(px, py, radius, name, taken) if point in named else None
        spots.append(
            Spot(
                ranks[point.row.row],
                name,
                px,
                py,
                radius,
                tables.index(_table(point)) % _COLOURS,
                bool(point.row.failed_gates),
                _told(point, primary),
                label,
            )
        )
    return tuple(sorted(spots, key=lambda spot: -spot.radius))


def _radius(point: Point, largest: float) -> float:
    """So that the area grows with the file."""
    share = point.weight_bytes / largest if largest else 0.25
    return round(max(_LARGEST_RADIUS * math.sqrt(share), _SMALLEST_RADIUS), 1)


def _told(point: Point, primary: Metric) -> str:
    quality = text.with_unit(text.number(point.quality, primary.decimals), primary.unit)
    size = f", {text.megabytes(point.weight_bytes)} MB" if point.weight_bytes else ""
    fails = ", fails a gate" if point.row.failed_gates else ""
    time = text.with_unit(text.significant(point.latency_ms), "ms")
    return f"{text.printable(point.row.row)}: {quality} {primary.label}, {time}{size}{fails}"


def _label(x: float, y: float, radius: float, name: str, taken: list[Box]) -> tuple[float, float, str] | None:
    """The first free place beside the point; none where all would cover something. Adds what it takes to `taken`."""
    long, gap = _LETTER * len(name), radius + 5
    places = [
        (x + gap, y + 4, "start"),
        (x - gap, y + 4, "end"),
        (x, y - gap, "middle"),
        (x, y + gap + 9, "middle"),
        (x + gap, y - gap, "start"),
        (x + gap, y + gap + 9, "start"),
        (x - gap, y - gap, "end"),
        (x - gap, y + gap + 9, "end"),
    ]
    for px, py, anchor in places:
        left = px - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * long
        box = (left, py - _LINE + 3, left + long, py + 3)
        inside = box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= _BOTTOM
        if inside and not any(_meet(box, other) for other in taken):
            taken.append(box)
            return round(px, 1), round(py, 1), anchor
    return None


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _table(point: Point) -> str:
    return point.row.tables[0] if point.row.tables else ""
