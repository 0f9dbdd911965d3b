"""The page of a data audit, with its figures: from `audit.json` to a self-contained HTML page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from reports import text
from reports.errors import FileFormatError, ReportError
from reports.figures.audit_figures import audit_figures
from reports.grid import Cell, Column, Grid, Line, plain
from reports.pages import Code, Page, files, section
from reports.results.audit import CHANNELS, Audit, AuditedPair, Finding
from reports.schema import from_json, read_json

_MOST_LINES = 300
"""Nobody reads more lines; audit.json has all of them."""


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
    *((f"gain, {name}", "", 4, lambda pair, at=at: pair.gain[at]) for at, name in enumerate(CHANNELS)),
    *((f"offset, {name}", "levels", 2, lambda pair, at=at: pair.offset[at]) for at, name in enumerate(CHANNELS)),
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
