"""The style of the figures of a search, which matplotlib draws.

An SVG file carries the colours of both modes: a page in dark mode shows it dark, a program without dark mode light. PNG
files are light. The colours are those of Okabe and Ito (2008), which people with common forms of colour blindness can
distinguish.
"""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

import base64
import io
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.typing import RcKeyType

from reports.figures.drawing import Drawing, RenderedFigure, Sketch
from reports.figures.drawing import axis_label as axis_label
from reports.figures.drawing import bracketed as bracketed
from reports.text import printable

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
PAPER, BAND, INK, QUIET, GRID, TRACE = "#ffffff", "#eef1f5", "#1d2733", "#5b6775", "#e3e7ec", "#b4bdc8"
DARK = dict(
    zip(
        (*COLOURS, PAPER, BAND, INK, QUIET, GRID, TRACE),
        (
            "#7cc0ee", "#ff9d5c", "#4fd0a5", "#e79cc6", "#f0bf4c", "#b5dcf6", "#bfa0dc", "#f4f6f8",
            "#1d232a", "#2c3540", "#e4e9ee", "#a3afbc", "#343d48", "#687585",
        ),
        strict=True,
    )
)  # fmt: skip
"""Colour in light mode -> colour in dark mode."""

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
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "reports",
}


@contextmanager
def style() -> Generator[None]:
    """Make and render figures in the style of the reports; matplotlib's settings are restored afterwards."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The browser draws the text of an SVG with its own fonts, so a glyph that matplotlib's font lacks is no loss.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def render(figure: Figure, name: str, caption: str, alt: str) -> RenderedFigure:
    """Render a figure of matplotlib as a picture inside a drawing. Call within `style()`."""
    svg = io.BytesIO()
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    # Without date, creator and type, the file does not depend on when and with which version it was made.
    without_stamps = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(svg, metadata=without_stamps)
    data = base64.b64encode(_with_dark_mode(svg.getvalue())).decode("ascii")
    picture = f'<image width="{width}" height="{height}" href="data:image/svg+xml;base64,{data}"/>'
    return RenderedFigure(name, caption, alt, Sketch((Drawing(width, height, picture),)))


def canvas(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Return an empty figure that pyplot does not keep.

    Args:
        width: In inches.
        height: In inches.
        layout: "constrained" places panels by the size of their labels, which takes longer than drawing them.
    """
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def panel(height: float) -> tuple[Figure, Axes]:
    """Return an empty figure as wide as a page, `height` inches high, and its only axes."""
    figure = canvas(8.2, height)
    return figure, figure.add_subplot()


def logarithmic_x(axes: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers: powers would need mathematics, which is off for names."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def row_axis(axes: Axes, names: Sequence[str]) -> None:
    """Make the y axis a list of names, the first on top."""
    axes.set_yticks(range(len(names)), [printable(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def dots(axes: Axes, spots: Sequence[tuple[float, float]], index: int, label: str) -> None:
    """Draw dots at (x, y) in the colour and shape of series `index`."""
    axes.plot(
        [x for x, _ in spots], [y for _, y in spots], linestyle="none", marker=MARKERS[index % len(MARKERS)],
        color=COLOURS[index % len(COLOURS)], markersize=7.5, markeredgecolor=PAPER, markeredgewidth=0.8,
        label=printable(label), zorder=3,
    )  # fmt: skip


def _with_dark_mode(svg: bytes) -> bytes:
    """Add rules that replace each colour in dark mode. Programs that do not know the media query ignore them."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    return svg.replace(b"</style>", f"@media(prefers-color-scheme:dark){{{rules}}}</style>".encode(), 1)
