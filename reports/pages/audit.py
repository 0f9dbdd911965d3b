"""The page of an audit of pairs: from `audit.json` to one self-contained HTML file.

audit           the file, the words and the tables
audit_figures   the figures
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from reports import text
from reports.errors import ReportError
from reports.figures import audit_figures
from reports.figures.audit_figures import Audited
from reports.figures.figure_output import Drawing, style
from reports.grid import Cell, Column, Grid, Line, plain
from reports.pages import html

_MOST_LINES = 300
"""More lines than this nobody reads; all of them are in audit.json."""


@dataclass(frozen=True)
class AuditPage:
    """Everything the page says, in its order."""

    title: str
    facts: tuple[str, ...]
    lead: str
    open_points: str
    errors: Grid | None
    warnings: Grid | None
    summary: Grid | None
    drawings: tuple[Drawing, ...]
    pairs: Grid | None
    experiment_yaml: str


def write(folder: Path) -> Path:
    """Write `folder/index.html` from `folder/audit.json`.

    Returns: the path of the page. Raises: `ReportError` where the record is missing or no audit, or the page cannot be
    written.
    """
    file = folder / "audit.json"
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        page = _build(data)
    except OSError as error:
        raise ReportError(f"{file}: cannot be read ({error}); `data check` writes it") from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ReportError(f"{file}: not the record of an audit ({error!r}); run `data check` again") from None
    target = folder / "index.html"
    try:
        target.write_text(html.fill("audit.html.j2", page), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ReportError(f"{target}: the page cannot be written ({error})") from error
    return target


def _build(data: dict[str, Any]) -> AuditPage:
    pairs = [Audited.of(one) for one in data["pairs"]]
    findings: list[dict[str, Any]] = data["findings"]
    with style():
        drawings = audit_figures.drawings(pairs) if pairs else ()
    return AuditPage(
        title=f"Data of {text.printable(data['name'])}",
        facts=(
            text.count(len(pairs), "usable pair"),
            text.count(int(data["unusable"]), "unusable pair"),
            *(text.printable(str(origin)) for origin in data["origins"]),
        ),
        lead=_lead(findings),
        open_points=_outline(pairs),
        errors=_findings(findings, "error", "Errors, which would spoil a comparison, and what mends them."),
        warnings=_findings(findings, "warning", "Warnings, which may be intended."),
        summary=_summary(pairs) if pairs else None,
        drawings=drawings,
        pairs=_pairs(pairs) if pairs else None,
        experiment_yaml=str(data["experiment_yaml"]),
    )


def _lead(findings: Sequence[dict[str, Any]]) -> str:
    errors, warnings = (
        sum(len(finding["cases"]) for finding in findings if finding["severity"] == severity)
        for severity in ("error", "warning")
    )
    first = f"{text.count(errors, 'case')} would spoil a comparison" if errors else "Nothing spoils a comparison"
    return f"{first}; {text.count(warnings, 'warning') if warnings else 'no warnings'}."


def _outline(pairs: Sequence[Audited]) -> str:
    """The degradation in two sentences."""
    if not pairs:
        return "No pair could be read, so there is nothing to say about the degradation."
    known = [pair.psnr_db for pair in pairs if pair.psnr_db is not None]
    middle = f"{text.number(median(known), 1)} dB" if known else "without bound: all pairs are equal"
    share = 100 * median(pair.severe_share for pair in pairs)
    energies = [pair.severe_energy for pair in pairs if pair.severe_energy is not None]
    held = f", and hold {text.number(100 * median(energies), 0)} % of the squared error" if energies else ""
    return (
        f"In the median pair the PSNR of the degraded image is {middle}; {text.significant(share)} % of the pixels are "
        f"severe (a channel differs by more than 30 levels){held}. The rest is what a gain and an offset can mend: see "
        "below."
    )


def _findings(findings: Sequence[dict[str, Any]], severity: str, caption: str) -> Grid | None:
    lines = [
        (plain(one["title"]), plain(case["pair"]), plain(case["detail"]), plain(one["advice"]))
        for one in findings
        if one["severity"] == severity
        for case in one["cases"]
    ]
    if not lines:
        return None
    names = ("what", "pair", "detail", "what to do")
    columns = tuple(Column(name.replace(" ", "_"), name, numeric=False, heads_row=name == "what") for name in names)
    left = len(lines) - _MOST_LINES
    notes = (f"{left:,} more are in audit.json.",) if left > 0 else ()
    return Grid(f"findings_{severity}", caption, columns, tuple(lines[:_MOST_LINES]), notes=notes)


_Quantity = tuple[str, str, int, Callable[[Audited], float | None]]
_CHANNELS = ("red", "green", "blue")
_QUANTITIES: tuple[_Quantity, ...] = (
    ("PSNR of degraded", "dB", 2, lambda pair: pair.psnr_db),
    ("pixels over 30 levels", "%", 3, lambda pair: 100 * pair.severe_share),
    ("their share of the squared error", "%", 1, lambda pair: pair.percent_severe_energy),
    *((f"gain, {name}", "", 4, lambda pair, at=at: pair.gain[at]) for at, name in enumerate(_CHANNELS)),
    *((f"offset, {name}", "levels", 2, lambda pair, at=at: pair.offset[at]) for at, name in enumerate(_CHANNELS)),
    ("severe regions", "", 0, lambda pair: sum(pair.regions)),
    ("shift", "px", 2, lambda pair: pair.shift_px),
)


def _summary(pairs: Sequence[Audited]) -> Grid:
    """The spread of each number over the pairs."""
    columns = (
        Column("quantity", "quantity", numeric=False, heads_row=True),
        Column("unit", "unit", numeric=False),
        *(Column(name.replace(" ", "_"), name) for name in ("lowest", "5 %", "median", "95 %", "highest")),
    )
    lines: list[Line] = []
    for name, unit, decimals, of in _QUANTITIES:
        values = [value for pair in pairs if (value := of(pair)) is not None]
        spread = np.quantile(values, (0, 0.05, 0.5, 0.95, 1)).tolist() if values else [None] * 5
        lines.append((plain(name), plain(unit), *(Cell(value, text.number(value, decimals)) for value in spread)))
    caption = (
        "Spread over the pairs. Gain and offset: target = gain × degraded + offset by least squares on the pixels that "
        "are not severe, in 8-bit levels; a gain of 1 and an offset of 0 mean no global change."
    )
    return Grid("summary", caption, columns, tuple(lines))


def _pairs(pairs: Sequence[Audited]) -> Grid:
    """The pairs, the most damaged first."""
    columns = (
        Column("pair", "pair", numeric=False, heads_row=True),
        Column("split", "split", numeric=False),
        Column("size", "size", "px", numeric=False),
        Column("psnr", "PSNR", "dB"),
        Column("severe", "over 30 levels", "%"),
        Column("energy", "of squared error", "%"),
        Column("regions", "regions"),
        Column("shift", "shift", "px"),
    )
    ordered = sorted(pairs, key=lambda pair: (pair.psnr_db is None, pair.psnr_db or 0.0, pair.name))
    lines = tuple(_pair_line(pair) for pair in ordered[:_MOST_LINES])
    left = len(pairs) - _MOST_LINES
    notes = (f"{left:,} less damaged ones are in audit.json.",) if left > 0 else ()
    return Grid("pairs", "Pairs, the most damaged first.", columns, lines, notes=notes, sortable=True)


def _pair_line(pair: Audited) -> Line:
    numbers = (
        (pair.psnr_db, 2),
        (100 * pair.severe_share, 3),
        (pair.percent_severe_energy, 1),
        (sum(pair.regions), 0),
        (pair.shift_px, 2),
    )
    words = (plain(pair.name), plain(pair.split or text.ABSENT), plain(f"{pair.width} × {pair.height}"))
    return (*words, *(Cell(value, text.number(value, decimals)) for value, decimals in numbers))
