"""Rows of several experiments against one reference row: the table of differences, with interval and word.

Every pair stands alone: seed noise is not pooled over rows of different experiments, which share neither stages nor
settings. The intervals hold together over all rows of the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import Difference, Summary, difference, image_scores, ranked
from reports.statistics.verdicts import MEANINGS, Verdict, contrast


@dataclass(frozen=True)
class Opposed:
    """`found` and `verdicts` are of the trained rows, best first."""

    grid: Grid
    found: tuple[Difference, ...]
    verdicts: Mapping[str, Verdict]


def opposed(rows: Mapping[str, Summary], reference: Summary, results: Results, primary: Metric) -> Opposed:
    """Every row minus the reference, best first, floor rows apart; equal seeds and equal images are paired."""
    scores = image_scores(results, primary.name)
    others = [row for row in ranked(list(rows.values()), primary) if row.row != reference.row]
    known = {row.row: found for row in others if (found := difference(row, reference, primary, scores))}
    trained = [known[row.row] for row in others if row.row in known and not row.is_baseline]
    floors = [known[row.row] for row in others if row.row in known and row.is_baseline]
    verdicts = {
        one.row: contrast(results, rows, one.row, reference.row, primary, comparisons=len(trained)) for one in trained
    }
    seeds = results.plan.seeds
    grid = Grid(
        name="differences",
        caption=_caption(reference, primary),
        columns=_columns(seeds, primary),
        lines=tuple(_line(one, verdicts[one.row], seeds, primary) for one in trained),
        apart=tuple(_line(one, None, seeds, primary) for one in floors),
        notes=tuple(_without_word(verdicts)),
    )
    return Opposed(grid, tuple(trained), verdicts)


def _caption(reference: Summary, primary: Metric) -> str:
    direction = "best near 1" if primary.direction == "near 1" else f"{primary.direction} is better"
    name = text.printable(reference.row)
    return f"{primary.label} of each row minus that of {name}, same seeds and same images ({direction})."


def _columns(seeds: Sequence[int], primary: Metric) -> tuple[Column, ...]:
    key, unit = f"{primary.name}_difference", primary.unit
    return (
        ROW_COLUMN,
        Column(key, f"Δ\N{NO-BREAK SPACE}{primary.label}, mean", unit, hint="Row minus reference, mean over seeds."),
        Column("interval", "interval", unit, hint="Holds together with the others of this table, with 95 %."),
        Column("low", "low", unit, csv_only=True),
        Column("high", "high", unit, csv_only=True),
        Column("word", "word", numeric=False, hint="What the interval says of the row."),
        Column("improved_share", "images improved", "%", hint="Of the (seed, image) pairs."),
        *(Column(f"{key}_seed{seed}", f"seed {seed}", unit) for seed in seeds),
    )


def _line(found: Difference, verdict: Verdict | None, seeds: Sequence[int], primary: Metric) -> Line:
    decimals = primary.difference_decimals
    share = None if found.improved_share is None else 100 * found.improved_share
    return (
        plain(found.row),
        Cell(found.mean, text.signed(found.mean, decimals)),
        *_verdict_cells(verdict, decimals),
        Cell(found.improved_share, text.number(share, 0)),
        *(Cell(found.by_seed.get(seed), text.signed(found.by_seed.get(seed), decimals)) for seed in seeds),
    )


def _verdict_cells(verdict: Verdict | None, decimals: int) -> Line:
    """Interval, its ends, word."""
    word = verdict.word if verdict else None
    said = Cell(word, word or text.ABSENT, hint=MEANINGS[word] if word else "")
    if verdict is None or verdict.estimate is None:
        absent = Cell(None, text.ABSENT)
        return (absent, absent, absent, said)
    ends = verdict.estimate.low, verdict.estimate.high
    low, high = (text.signed(end, decimals) for end in ends)
    return (Cell(f"[{ends[0]:.6g}, {ends[1]:.6g}]", f"[{low}, {high}]"), Cell(ends[0], low), Cell(ends[1], high), said)


def _without_word(verdicts: Mapping[str, Verdict]) -> list[str]:
    """One note a reason."""
    reasons: dict[str, list[str]] = {}
    for row, verdict in verdicts.items():
        if verdict.reason:
            reasons.setdefault(verdict.reason, []).append(text.printable(row))
    if len(reasons) == 1 and len(verdicts) == len(next(iter(reasons.values()))):
        return [f"No words here: {next(iter(reasons))}."]
    return [f"No word for {text.listing(names)}: {reason}." for reason, names in reasons.items()]
