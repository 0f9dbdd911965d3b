"""Axes of figures: grid, ticks and labels around an area, and the axis whose values are names."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.figures import svg
from reports.figures.drawing import PANEL_WIDTH, WIDTH
from reports.figures.scales import Rule, Scale, shortened, text_width
from reports.text import printable

RIGHT = 12
"""px between an area and the right end of its figure."""
_BELOW = 44
"""px for ticks and label below an area."""
_LONGEST_NAMES = 0.4
"""Share of a figure's width that names may take."""


@dataclass(frozen=True)
class Area:
    """Where the marks of a figure lie, in px."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class NamedLines:
    """An area with one line for each name, from top to bottom."""

    names: tuple[str, ...]
    area: Area
    step: float
    """Height of a line in px."""

    def y(self, index: int) -> float:
        """Return the middle of line `index`."""
        return self.area.top + (index + 0.5) * self.step

    @property
    def height(self) -> int:
        """Height of the whole figure."""
        return round(self.area.bottom + _BELOW)

    @property
    def labels(self) -> str:
        """The names beside the area; a long one is shortened and shows itself on hover."""
        left = self.area.left - 10
        return "".join(
            svg.label(short, (left, self.y(index) + 4.5), anchor="end", hint=name if short != name else "")
            for index, name in enumerate(self.names)
            for short in [shortened(name, left)]
        )


def named_lines(names: Sequence[str], step: float) -> NamedLines:
    """Return an area as wide as a figure with a line of `step` px for each name."""
    shown = tuple(map(printable, names))
    widest = min(max(map(text_width, shown), default=0.0), _LONGEST_NAMES * WIDTH)
    return NamedLines(shown, Area(round(widest) + 16, 6, WIDTH - RIGHT, 6 + step * len(shown)), step)


def panel_area(height: float, *, left: float = 44, width: float = PANEL_WIDTH) -> Area:
    """Return the area of a panel with a heading above and a label below; `height` is that of the area."""
    return Area(left, 26, width - RIGHT, 26 + height)


def panel_height(area: Area) -> int:
    """Return the height of a panel with ticks and a label below."""
    return round(area.bottom + _BELOW)


def across(area: Area, scale: Scale, label: str, *, most: int = 6, whole: bool = False) -> str:
    """Return vertical grid lines, their ticks, and the label below them."""
    return ticks_below(area, scale.ticks(most, whole=whole)) + label_below(area, label)


def ticks_below(area: Area, ticks: Sequence[Rule]) -> str:
    """Return vertical grid lines with their labels below the area."""
    return "".join(
        svg.line((tick.at, area.top), (tick.at, area.bottom), "grid")
        + svg.label(tick.label, (tick.at, area.bottom + 16), "tick", "middle")
        for tick in ticks
    )


def label_below(area: Area, label: str) -> str:
    """Return the label of the axis across."""
    return svg.label(label, ((area.left + area.right) / 2, area.bottom + 36), anchor="middle")


def up(area: Area, scale: Scale, *, most: int = 5, whole: bool = False) -> str:
    """Return horizontal grid lines and their ticks."""
    return "".join(
        svg.line((area.left, tick.at), (area.right, tick.at), "grid")
        + svg.label(tick.label, (area.left - 6, tick.at + 4), "tick", "end")
        for tick in scale.ticks(most, whole=whole)
    )


def heading(area: Area, words: str) -> str:
    """Return the heading of a panel, which names what goes up."""
    name = printable(words)
    short = shortened(name, area.right + RIGHT - 4, 12.5)
    return svg.label(short, (4, area.top - 12), "heading", hint=name if short != name else "")
