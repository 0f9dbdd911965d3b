"""Marks of figures as SVG elements. Coordinates are px from the top left corner; `kind` names rules in figure.css."""

import html
import math
from collections.abc import Sequence
from typing import Literal

from reports.text import printable

Place = tuple[float, float]
"""x and y in px."""
Anchor = Literal["start", "middle", "end"]
COLOURS = 8
"""So many series have a colour and a shape of their own."""


def series(index: int) -> str:
    """Return the kind that gives a mark the colour of series `index`."""
    return f"s{index % COLOURS}"


def label(
    words: str, place: Place, kind: str = "", anchor: Anchor = "start", *, turn: float = 0, hint: str = ""
) -> str:
    """Return a text.

    Args:
        words: The text; it is made printable and escaped.
        place: Where its baseline starts, has its middle or ends, as `anchor` says.
        kind: Rules for its looks.
        anchor: Which part of the text lies at `place`.
        turn: Degrees to turn it clockwise around `place`.
        hint: Shown on hover.
    """
    x, y = px(place[0]), px(place[1])
    turned = f' transform="rotate({turn:g} {x} {y})"' if turn else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x}" y="{y}"{_kind(kind)}{side}{turned}>{_title(hint)}{escaped(words)}</text>'


def line(start: Place, end: Place, kind: str) -> str:
    """Return a straight line."""
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{px(x1)}" y1="{px(y1)}" x2="{px(x2)}" y2="{px(y2)}"{_kind(kind)}/>'


def rectangle(left: float, top: float, right: float, bottom: float, kind: str, hint: str = "") -> str:
    """Return a filled rectangle; its corners may come in any order."""
    x, y = min(left, right), min(top, bottom)
    size = f'width="{px(abs(right - left))}" height="{px(abs(bottom - top))}"'
    return _closed(f'<rect x="{px(x)}" y="{px(y)}" {size}{_kind(kind)}', "rect", hint)


def curve(places: Sequence[Place], kind: str) -> str:
    """Return a line through all places; places that are not finite are left out."""
    points = " ".join(f"{px(x)},{px(y)}" for x, y in places if math.isfinite(x) and math.isfinite(y))
    return f'<polyline points="{points}"{_kind(kind)}/>' if points else ""


def bars(edges: Sequence[float], heights: Sequence[float], zero: float, kind: str) -> str:
    """Return bars as one outline, which stays small for thousands of them.

    Args:
        edges: x of the left edges, and of the last right edge.
        heights: y of the end of each bar.
        zero: y where all bars start.
        kind: Rules for their looks.
    """
    steps = "".join(f"V{px(y)}H{px(x)}" for y, x in zip(heights, edges[1:], strict=True))
    return f'<path d="M{px(edges[0])} {px(zero)}{steps}V{px(zero)}Z"{_kind(kind)}/>'


def marker(shape: int, place: Place, radius: float, kind: str, hint: str = "") -> str:
    """Return a marker; `shape` is that of the series with this number."""
    x, y = place
    outline = _OUTLINES[shape % COLOURS]
    if not outline:
        return _closed(f'<circle cx="{px(x)}" cy="{px(y)}" r="{px(radius)}"{_kind(kind)}', "circle", hint)
    corners = " ".join(f"{px(x + radius * across)},{px(y + radius * down)}" for across, down in outline)
    return _closed(f'<polygon points="{corners}"{_kind(kind)}', "polygon", hint)


def escaped(words: str) -> str:
    """Return a text for SVG: printable, escaped."""
    return html.escape(printable(words))


def px(value: float) -> str:
    """Return a length with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def _closed(start: str, tag: str, hint: str) -> str:
    return f"{start}>{_title(hint)}</{tag}>" if hint else f"{start}/>"


def _title(hint: str) -> str:
    return f"<title>{escaped(hint)}</title>" if hint else ""


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _star() -> tuple[Place, ...]:
    angles = [math.pi * (corner / 5 - 0.5) for corner in range(10)]
    return tuple(
        ((0.55 if corner % 2 else 1.3) * math.cos(angle), (0.55 if corner % 2 else 1.3) * math.sin(angle))
        for corner, angle in enumerate(angles)
    )


_ARM = 0.4
_PLUS: tuple[Place, ...] = (
    (-_ARM, -1.1), (_ARM, -1.1), (_ARM, -_ARM), (1.1, -_ARM), (1.1, _ARM), (_ARM, _ARM),
    (_ARM, 1.1), (-_ARM, 1.1), (-_ARM, _ARM), (-1.1, _ARM), (-1.1, -_ARM), (-_ARM, -_ARM),
)  # fmt: skip
_OUTLINES: tuple[tuple[Place, ...], ...] = (
    (),  # a circle
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    ((0, -1.15), (1.1, 0.9), (-1.1, 0.9)),
    ((0, 1.15), (1.1, -0.9), (-1.1, -0.9)),
    _PLUS,
    tuple(((x - y) * math.sqrt(0.5), (x + y) * math.sqrt(0.5)) for x, y in _PLUS),
    _star(),
)
"""Corners of each marker in units of its radius."""
