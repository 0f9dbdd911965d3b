"""The page of a data audit, with its figures: from `audit.json` to a self-contained HTML page."""

# matplotlib's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from reports import text
from reports.errors import FileFormatError, ReportError
from reports.figures.figure_output import COLOURS, INK, PAPER, QUIET, RenderedFigure, canvas, panel, render, style
from reports.grid import Cell, Column, Grid, Line, plain
from reports.pages import Code, Page, files, section
from reports.schema import FileModel, from_json, read_json

_THRESHOLD_LEVELS = 30
_CHANNELS = (("red", COLOURS[1]), ("green", COLOURS[2]), ("blue", COLOURS[0]))
_MOST_DOTS = 400


class Shift(FileModel, extra="ignore"):
    """How far the two images of a pair are displaced."""

    pixels: float


class AuditedPair(FileModel, extra="ignore"):
    """The numbers of one pair in audit.json, in 8-bit levels; None where there is nothing to give."""

    name: str
    split: str
    height: int
    width: int
    psnr_db: float | None
    histogram: tuple[int, ...]
    severe_share: float
    severe_energy: float | None
    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    regions: tuple[int, ...]
    shift: Shift | None

    @property
    def shift_px(self) -> float | None:
        """Displacement in px."""
        return self.shift.pixels if self.shift else None

    @property
    def percent_severe_energy(self) -> float | None:
        """Share of the squared error in severe pixels, in percent."""
        return None if self.severe_energy is None else 100 * self.severe_energy


def audit_figures(pairs: Sequence[AuditedPair]) -> tuple[RenderedFigure, ...]:
    """Draw all figures of at least one pair. Call within `figure_output.style()`."""
    return (
        render(
            _histogram(pairs),
            "histogram",
            "How many pixels differ by how much: the largest difference of a channel between degraded and target, all "
            "pairs together, on a logarithmic scale. Pixels right of the dashed line count as severe.",
            "Histogram of the difference between degraded and target in 8-bit levels.",
        ),
        render(
            _spreads(pairs),
            "spreads",
            "Number of pairs by PSNR of the degraded image, by share of severe pixels, and by the share of the squared "
            "error in those pixels. If few pixels hold most of the error, a network has to find spots. If they hold "
            "little of it, a global correction matters more.",
            "Three histograms of pairs; their quartiles are in the table above.",
        ),
        render(
            _global_change(pairs),
            "gain_offset",
            "Gain and offset of each channel on the pixels that are not severe. A dot is a pair, the bar is the "
            "median. In target = K × degraded + D + degraded, K is the gain minus 1.",
            "Dot plots of gain and offset for red, green and blue; the numbers are in the table above.",
        ),
        render(
            _regions(pairs),
            "regions",
            "Number of severe regions by area, all pairs together, and number of pairs by their regions.",
            "Histogram of the areas of severe regions, and of their number in each pair.",
        ),
    )


def _histogram(pairs: Sequence[AuditedPair]) -> Figure:
    counts = np.array([pair.histogram for pair in pairs], dtype=np.float64).sum(0)
    figure, axes = panel(3.2)
    shares = 100 * counts / counts.sum()
    axes.bar(np.arange(len(shares)), shares, width=1.0, color=COLOURS[0])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.axvline(_THRESHOLD_LEVELS + 0.5, color=COLOURS[1], linestyle="--", linewidth=1.2)
    axes.set_xlim(-1, max(np.flatnonzero(counts).max() + 2, _THRESHOLD_LEVELS + 10))
    axes.set_xlabel("largest difference of a channel, 8-bit levels")
    axes.set_ylabel("pixels, %")
    return figure


def _spreads(pairs: Sequence[AuditedPair]) -> Figure:
    figure = canvas(8.2, 2.9)
    psnr = [pair.psnr_db for pair in pairs if pair.psnr_db is not None]
    energy = [pair.percent_severe_energy for pair in pairs if pair.percent_severe_energy is not None]
    panels = (
        (psnr, "PSNR of degraded, dB"),
        ([100 * pair.severe_share for pair in pairs], "pixels over 30 levels, %"),
        (energy, "their squared error, %"),
    )
    for place, (values, label) in enumerate(panels):
        _pair_histogram(figure.add_subplot(1, 3, place + 1), values, label)
    figure.axes[0].set_ylabel("pairs")
    return figure


def _pair_histogram(axes: Axes, values: Sequence[float], label: str) -> None:
    if values:
        axes.hist(values, bins=min(24, max(6, round(len(values) ** 0.5))), color=COLOURS[0], edgecolor=PAPER)
        axes.axvline(float(np.median(values)), color=INK, linewidth=1.4)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel(label)


def _global_change(pairs: Sequence[AuditedPair]) -> Figure:
    figure = canvas(8.2, 2.6)
    shown = pairs[:: -(-len(pairs) // _MOST_DOTS)]
    offsets = 0.5 * (np.arange(len(shown)) * 0.618 % 1) - 0.25  # spread evenly without random numbers
    panels = (([pair.gain for pair in shown], "gain", 1.0), ([pair.offset for pair in shown], "offset, levels", 0.0))
    for place, (values, label, neutral) in enumerate(panels):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.axvline(neutral, color=QUIET, linewidth=1)
        for line, (_, colour) in enumerate(_CHANNELS):
            of_channel = [value[line] for value in values]
            axes.plot(of_channel, line + offsets, "o", markersize=3.5, color=colour, alpha=0.6, markeredgewidth=0)
            middle = float(np.median(of_channel))
            axes.plot([middle, middle], [line - 0.35, line + 0.35], color=INK, linewidth=2.2, solid_capstyle="butt")
        axes.set_yticks(range(len(_CHANNELS)), [name for name, _ in _CHANNELS])
        axes.set_ylim(len(_CHANNELS) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(label)
    return figure


def _regions(pairs: Sequence[AuditedPair]) -> Figure:
    figure = canvas(8.2, 2.9)
    kinds = max((len(pair.regions) for pair in pairs), default=0)
    totals = [sum(pair.regions[kind] for pair in pairs if kind < len(pair.regions)) for kind in range(kinds)]
    axes = figure.add_subplot(1, 2, 1)
    axes.bar(range(kinds), totals, width=0.9, color=COLOURS[0])
    step = max(1, -(-kinds // 6))
    axes.set_xticks(range(0, kinds, step), [f"{2**kind:,}" for kind in range(0, kinds, step)])
    axes.set_xlabel("area from, pixels (each bar twice the last)")
    axes.set_ylabel("regions")
    beside = figure.add_subplot(1, 2, 2)
    _pair_histogram(beside, [float(sum(pair.regions)) for pair in pairs], "regions in a pair")
    beside.set_ylabel("pairs")
    return figure


_MOST_LINES = 300
"""Nobody reads more lines; audit.json has all of them."""


class Case(FileModel, extra="ignore"):
    """Where a finding was made."""

    pair: str
    detail: str


class Finding(FileModel, extra="ignore"):
    """One kind of fault, with its cases."""

    title: str
    severity: str
    advice: str
    cases: tuple[Case, ...]


class Audit(FileModel, extra="ignore"):
    """The content of audit.json."""

    name: str
    origins: tuple[str, ...]
    unusable: int
    findings: tuple[Finding, ...]
    pairs: tuple[AuditedPair, ...]
    experiment_yaml: str


def write(folder: Path) -> Path:
    """Write `folder/index.html` from `folder/audit.json`.

    Returns:
        The path of the page.

    Raises:
        ReportError: The record is missing or is no audit, or the page cannot be written.
    """
    file = folder / "audit.json"
    try:
        page = build(from_json(Audit, read_json(file)))
    except FileFormatError as error:
        raise ReportError(f"{file}: not the record of an audit ({error}); `data check` writes it") from None
    return files.save_html(page, folder)


def build(audit: Audit) -> Page:
    """Return the page of an audit."""
    pairs, name = audit.pairs, text.printable(audit.name)
    with style():
        figures = audit_figures(pairs) if pairs else ()
    errors, warnings = (
        sum(len(finding.cases) for finding in audit.findings if finding.severity == severity)
        for severity in ("error", "warning")
    )
    first = f"{text.count(errors, 'case')} would spoil a comparison" if errors else "Nothing spoils a comparison"
    second = text.count(warnings, "warning") if warnings else "no warnings"
    how = (
        "Ready to run, as experiment.yaml beside this page. It uses the pairs without errors, and keeps copies of one "
        "picture in one split."
    )
    return Page(
        title=f"Data of {name}",
        facts=(
            text.count(len(pairs), "usable pair"),
            text.count(audit.unusable, "unusable pair"),
            *map(text.printable, audit.origins),
        ),
        headline=(f"{first}; {second}.", _outline(pairs)),
        sections=(
            section(
                "findings",
                "Findings",
                _findings(audit.findings, "error", "Errors, which would spoil a comparison, and how to fix them.")
                or (None if errors else "Nothing that would spoil a comparison was found."),
                _findings(audit.findings, "warning", "Warnings, which may be intended."),
            ),
            section("degradation", "Degradation", _summary(pairs) if pairs else "There is no usable pair.", *figures),
            section("pairs", "Pairs", _pairs(pairs) if pairs else "There is no usable pair."),
            section(
                "experiment",
                "An experiment on these pairs",
                *((how, Code(audit.experiment_yaml, "yaml")) if audit.experiment_yaml else ()),
            ),
        ),
        footer="Every number on this page is also in audit.json beside it, unrounded.",
    )


def _outline(pairs: Sequence[AuditedPair]) -> str:
    """Return the degradation in a few sentences."""
    if not pairs:
        return "No pair could be read, so nothing is known about the degradation."
    psnr = [pair.psnr_db for pair in pairs if pair.psnr_db is not None]
    middle = f"{text.number(median(psnr), 1)} dB" if psnr else "unbounded, because all pairs are equal"
    share = text.significant(100 * median(pair.severe_share for pair in pairs))
    energies = [pair.severe_energy for pair in pairs if pair.severe_energy is not None]
    held = f" and hold {text.number(100 * median(energies), 0)} % of the squared error" if energies else ""
    return (
        f"In the median pair the PSNR of the degraded image is {middle}; {share} % of the pixels are severe (a channel "
        f"differs by more than 30 levels){held}. A gain and an offset can correct the rest: see below."
    )


def _findings(findings: Sequence[Finding], severity: str, caption: str) -> Grid | None:
    lines = [
        (plain(finding.title), plain(case.pair), plain(case.detail), plain(finding.advice))
        for finding in findings
        if finding.severity == severity
        for case in finding.cases
    ]
    if not lines:
        return None
    names = ("what", "pair", "detail", "what to do")
    columns = tuple(Column(name.replace(" ", "_"), name, numeric=False, is_row_header=name == "what") for name in names)
    left = len(lines) - _MOST_LINES
    return Grid(
        f"findings_{severity}",
        caption,
        columns,
        tuple(lines[:_MOST_LINES]),
        notes=(f"{left:,} more are in audit.json.",) if left > 0 else (),
    )


_Quantity = tuple[str, str, int, Callable[[AuditedPair], float | None]]
_QUANTITIES: tuple[_Quantity, ...] = (
    ("PSNR of degraded", "dB", 2, lambda pair: pair.psnr_db),
    ("pixels over 30 levels", "%", 3, lambda pair: 100 * pair.severe_share),
    ("their share of the squared error", "%", 1, lambda pair: pair.percent_severe_energy),
    *((f"gain, {name}", "", 4, lambda pair, at=at: pair.gain[at]) for at, (name, _) in enumerate(_CHANNELS)),
    *((f"offset, {name}", "levels", 2, lambda pair, at=at: pair.offset[at]) for at, (name, _) in enumerate(_CHANNELS)),
    ("severe regions", "", 0, lambda pair: sum(pair.regions)),
    ("shift", "px", 2, lambda pair: pair.shift_px),
)


def _summary(pairs: Sequence[AuditedPair]) -> Grid:
    """Return the spread of each number over the pairs."""
    columns = (
        Column("quantity", "quantity", numeric=False, is_row_header=True),
        Column("unit", "unit", numeric=False),
        *(Column(name.replace(" ", "_"), name) for name in ("lowest", "5 %", "median", "95 %", "highest")),
    )
    lines: list[Line] = []
    for name, unit, decimals, quantity in _QUANTITIES:
        values = [value for pair in pairs if (value := quantity(pair)) is not None]
        spread = np.quantile(values, (0, 0.05, 0.5, 0.95, 1)).tolist() if values else [None] * 5
        lines.append((plain(name), plain(unit), *(Cell(value, text.number(value, decimals)) for value in spread)))
    caption = (
        "Spread over the pairs. Gain and offset: target = gain × degraded + offset, by least squares on the pixels "
        "that are not severe, in 8-bit levels. A gain of 1 and an offset of 0 mean no global change."
    )
    return Grid("summary", caption, columns, tuple(lines))


def _pairs(pairs: Sequence[AuditedPair]) -> Grid:
    """Return the pairs, the most damaged first."""
    columns = (
        Column("pair", "pair", numeric=False, is_row_header=True),
        Column("split", "split", numeric=False),
        Column("size", "size", "px", numeric=False),
        Column("psnr", "PSNR", "dB"),
        Column("severe", "over 30 levels", "%"),
        Column("energy", "of squared error", "%"),
        Column("regions", "regions"),
        Column("shift", "shift", "px"),
    )
    ordered = sorted(pairs, key=lambda pair: (pair.psnr_db is None, pair.psnr_db or 0.0, pair.name))
    lines = tuple(
        (
            plain(pair.name),
            plain(pair.split or text.ABSENT),
            plain(f"{pair.width} × {pair.height}"),
            Cell(pair.psnr_db, text.number(pair.psnr_db, 2)),
            Cell(100 * pair.severe_share, text.number(100 * pair.severe_share, 3)),
            Cell(pair.percent_severe_energy, text.number(pair.percent_severe_energy, 1)),
            Cell(sum(pair.regions), text.number(sum(pair.regions), 0)),
            Cell(pair.shift_px, text.number(pair.shift_px, 2)),
        )
        for pair in ordered[:_MOST_LINES]
    )
    left = len(pairs) - _MOST_LINES
    return Grid(
        "pairs",
        "Pairs, the most damaged first.",
        columns,
        lines,
        notes=(f"{left:,} less damaged pairs are in audit.json.",) if left > 0 else (),
        sortable=True,
    )
