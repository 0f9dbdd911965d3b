"""Figures of a page, and the SVG files of them: equal whenever the numbers are.

A page holds the marks themselves and has the rules and colours for them. A file carries its rules and the colours of
light and dark mode; programs that do not know the media query for dark mode show it light. The colours are based on
those of Okabe and Ito (2008), which people with common forms of colour blindness can distinguish.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reports.figures import svg
from reports.figures.scales import text_width
from reports.metrics import Metric

WIDTH = 640
"""Width of a figure of one panel, px."""
PANEL_WIDTH = 204
"""Width of one of several panels, px."""
MOST_COLUMNS = 4
_GAP = 8
_MARGIN = 8
_KEY_HEIGHT = 22


@dataclass(frozen=True)
class Drawing:
    """Marks on an area of `width` × `height` px."""

    width: int
    height: int
    marks: str
    """SVG elements; what they say is escaped."""


@dataclass(frozen=True)
class Key:
    """What a marker or a line stands for; `mark` is drawn around (0, 0)."""

    mark: str
    label: str


@dataclass(frozen=True)
class Sketch:
    """What a figure shows: one panel, or several side by side, and the keys to their colours."""

    panels: tuple[Drawing, ...]
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class RenderedFigure:
    """One figure; `name` is unique within a report and names its file."""

    name: str
    caption: str
    alt: str
    """What the figure shows, for readers who cannot see it."""
    sketch: Sketch

    @property
    def svg(self) -> bytes:
        """The figure as a file of its own."""
        return _file(self.sketch, self.alt).encode()


def marker_key(index: int, label: str) -> Key:
    """Return the key of the dots of series `index`."""
    return Key(svg.marker(index, (0, 0), 4.5, f"dot {svg.series(index)}"), label)


def line_key(index: int, label: str) -> Key:
    """Return the key of the line of series `index`."""
    return Key(svg.curve([(-7, 0), (7, 0)], f"curve {svg.series(index)}"), label)


def axis_label(metric: Metric) -> str:
    """Return `PSNR, dB (more is better)`."""
    direction = {"higher": "more is better", "lower": "less is better", "near 1": "best at 1"}[metric.direction]
    return f"{metric.label}{f', {metric.unit}' if metric.unit else ''} ({direction})"


def bracketed(label: str, unit: str) -> str:
    """Return `PSNR (dB)`."""
    return f"{label} ({unit})" if unit else label


def _file(sketch: Sketch, title: str) -> str:
    """Return a sketch as an SVG file: the keys on top, then the panels line by line."""
    columns = min(len(sketch.panels), MOST_COLUMNS)
    lines = [sketch.panels[start : start + columns] for start in range(0, len(sketch.panels), columns)]
    width = max(sum(panel.width + _GAP for panel in line) - _GAP for line in lines) + 2 * _MARGIN
    keys, top = _keys(sketch.keys, width)
    marks: list[str] = []
    for line in lines:
        left = _MARGIN
        for panel in line:
            marks.append(f'<g transform="translate({left} {top})">{panel.marks}</g>')
            left += panel.width + _GAP
        top += max(panel.height for panel in line) + _GAP
    height = top - _GAP + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawn" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img"><title>{svg.escaped(title)}</title><style>{_style()}</style>'
        f'<rect class="sheet" width="{width}" height="{height}"/>{keys}{"".join(marks)}</svg>\n'
    )


def _keys(keys: Sequence[Key], width: float) -> tuple[str, int]:
    """Return the keys in lines of at most `width` px, and the y below them."""
    marks: list[str] = []
    x, y = float(_MARGIN), _MARGIN
    for key in keys:
        needed = 22 + text_width(key.label) + 14
        if x > _MARGIN and x + needed > width:
            x, y = float(_MARGIN), y + _KEY_HEIGHT
        marks.append(f'<g transform="translate({svg.px(x + 8)} {y + 9})">{key.mark}</g>')
        marks.append(svg.label(key.label, (x + 20, y + 13.5)))
        x += needed
    return "".join(marks), y + (_KEY_HEIGHT if keys else 0)


@cache
def _style() -> str:
    """Return the rules with colours instead of variables, which few programs beside browsers know."""
    folder = Path(__file__).parent
    rules = (folder / "figure.css").read_text(encoding="utf-8")
    light, dark = (folder / "palette.css").read_text(encoding="utf-8").split("@media", 1)
    in_dark_mode = "\n".join(line for line in rules.splitlines() if "var(" in line)
    return (
        f"{_with_colours(rules, light)}@media (prefers-color-scheme: dark) {{\n{_with_colours(in_dark_mode, dark)}\n}}"
    )


def _with_colours(rules: str, palette: str) -> str:
    colours = dict(re.findall(r"(--\w+): (#\w+);", palette))
    return re.sub(r"var\((--\w+)\)", lambda variable: colours[variable[1]], rules)
