"""The look of the figures, and their way to bytes: SVG and PNG that are equal whenever the numbers are.

Figures stand on an opaque light panel, so they are readable on dark pages and on GitHub, whatever its theme.
Colours are those of Okabe and Ito (2008), which stay apart under the common forms of colour blindness.
"""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

import io
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox
from matplotlib.typing import RcKeyType

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
INK, QUIET, GRID = "#1d2733", "#5b6775", "#e3e7ec"

_STYLE: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Segoe UI", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9.5,
    "text.parse_math": False,  # a row may be called "$x$"
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "#ffffff",
    "savefig.facecolor": "#ffffff",
    "svg.fonttype": "none",
    "svg.hashsalt": "reports",
}
_PNG_DPI = 144


@dataclass(frozen=True)
class Drawing:
    """One figure; `name` is unique within a report and names its files."""

    name: str
    caption: str
    alt: str
    """What is to be seen, for those who cannot see it."""
    svg: bytes
    png: bytes
    width: int
    height: int
    """Size in CSS pixels."""


@contextmanager
def style() -> Generator[None]:
    """Within it, figures are made and rendered in our style; outside, matplotlib is as it was."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Text in the SVG is drawn by the browser's fonts: a glyph that matplotlib's font lacks is no loss there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def render(figure: Figure, name: str, caption: str, alt: str) -> Drawing:
    """The figure as bytes. Call within `style()`."""
    svg, png = io.BytesIO(), io.BytesIO()
    layout = figure.get_layout_engine()
    if layout is not None:  # laid out once is enough for both files
        layout.execute(figure)
        figure.set_layout_engine("none")
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    # Straight to the canvas: `savefig` would draw everything once more beforehand, to no end after the layout.
    # Without date, creator and type, nothing in the file depends on when and with which version it was made.
    unstamped = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(svg, metadata=unstamped)
    figure.dpi = _PNG_DPI
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return Drawing(name, caption, alt, svg.getvalue(), png.getvalue(), width, height)


def canvas(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure of so many inches, with its own canvas and no place in pyplot's list.

    `layout`: by "constrained", panels find their places by what stands around them; it takes longer than drawing them.
    """
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def logarithmic_x(axes: Axes) -> None:
    """A logarithmic axis whose marks are plain numbers: powers would need formulas, which names may not be read as."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def label_points(axes: Axes, points: Sequence[tuple[float, float, float, str]]) -> None:
    """Write a label beside each point, where it covers no other text, line or point if there is such a place.

    Args: points: x, y (data), radius of the marker (points), label.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes always stand in a figure
    figure.draw_without_rendering()  # places the axes, so that data can be turned into pixels
    pixels = figure.dpi / 72
    taken = [_marker_box(axes, x, y, radius * pixels) for x, y, radius, _ in points]
    taken += [artist.get_window_extent().padded(1) for artist in (*axes.texts, *axes.lines)]
    for x, y, radius, label in points:
        taken.append(_place(axes, (x, y), radius, label, taken))


def _place(axes: Axes, point: tuple[float, float], radius: float, label: str, taken: Sequence[Bbox]) -> Bbox:
    best: tuple[float, tuple[float, float, str, str]] | None = None
    for candidate in _candidates(radius):
        box = _text_box(axes, point, candidate, label)
        cost = sum(_overlap(box, other) for other in taken) + _outside(box, axes.get_window_extent())
        if best is None or cost < best[0]:
            best = (cost, candidate)
        if cost == 0:
            break
    assert best is not None  # there are always candidates
    _annotate(axes, point, best[1], label)
    return _text_box(axes, point, best[1], label)


def _candidates(radius: float) -> Iterator[tuple[float, float, str, str]]:
    """Offsets in points with alignments, near ones first."""
    for gap in (4.0, 12.0, 22.0, 34.0, 48.0):
        away, slant = radius + gap, 0.72 * (radius + gap)
        yield away, 0, "left", "center"
        yield -away, 0, "right", "center"
        yield 0, away, "center", "bottom"
        yield 0, -away, "center", "top"
        yield slant, slant, "left", "bottom"
        yield slant, -slant, "left", "top"
        yield -slant, slant, "right", "bottom"
        yield -slant, -slant, "right", "top"


def _annotate(axes: Axes, point: tuple[float, float], place: tuple[float, float, str, str], label: str) -> Annotation:
    dx, dy, horizontal, vertical = place
    return axes.annotate(
        label,
        point,
        xytext=(dx, dy),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
        if abs(dx) + abs(dy) > 30
        else None,
    )


def _text_box(axes: Axes, point: tuple[float, float], place: tuple[float, float, str, str], label: str) -> Bbox:
    text = _annotate(axes, point, place, label)
    box = text.get_window_extent()
    text.remove()
    return box.padded(1.5)


def _marker_box(axes: Axes, x: float, y: float, radius: float) -> Bbox:
    centre = axes.transData.transform((x, y))
    return Bbox.from_extents(centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)


def _outside(box: Bbox, frame: Bbox) -> float:
    """Area of the box outside the frame, counted thrice: half a label is worse than two that touch."""
    return 3 * (box.width * box.height - _overlap(box, frame))
