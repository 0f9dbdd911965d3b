"""The tables of differences: the rows of one table against the base row, with interval and word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.results import Results
from reports.results.summary import BASE, Difference, Summary, difference, image_scores, ranked
from reports.statistics.intervals import FEWEST_SEEDS
from reports.statistics.verdicts import MEANINGS, Verdict, verdicts
from reports.tables.score_tables import MAIN_METRICS, environment_notes, metric_names

_MUCH_NOISIER = 3.0
"""Rows whose spread over seeds differs from the others' by more than this factor are pointed out."""


@dataclass(frozen=True)
class Compared:
    """One table of the experiment against the base row; `found` is in the order of the grid's lines."""

    table: str
    grid: Grid
    found: tuple[Difference, ...]
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class _Against:
    """What the lines of one table are made from."""

    base: Summary
    seeds: tuple[int, ...]
    primary: Metric
    others: tuple[Metric, ...]
    verdicts: Mapping[str, Mapping[str, Verdict]]
    """metric -> row -> verdict"""


def compared(rows: Mapping[str, Summary], results: Results, primary: Metric) -> tuple[Compared, ...]:
    """The tables that have a row to compare with base, best row first, floor rows apart in each."""
    base = rows.get(BASE)
    if base is None or not base.by_seed(primary.name):
        return ()
    scores = image_scores(results, primary.name)

    def against_base(members: Sequence[Summary]) -> list[tuple[Summary, Difference]]:
        pairs = [(row, difference(row, base, primary, scores)) for row in ranked(members, primary)]
        return [(row, found) for row, found in pairs if found]

    floors = against_base([row for row in rows.values() if row.is_baseline])
    names = dict.fromkeys(table for row in rows.values() for table in row.tables)
    tabled = {name: against_base([row for row in rows.values() if name in row.tables]) for name in names}
    return tuple(_table(name, rows, results, primary, members, floors) for name, members in tabled.items() if members)


def reading(seeds: int, primary: Metric, margin: float) -> tuple[str, ...]:
    """How to read differences over so many seeds."""
    if seeds < 2:
        note = "One seed: a difference has no interval yet, so treat every difference as undecided."
    else:
        note = (
            "A difference stands with its interval, which counts the chance of seeds and of test images; the intervals "
            f"of one table hold together with 95 %. The word beside it says what the interval says: {_words()}. "
            "Resolution is half the interval's width. Without a word, the table says why."
        )
    if not margin:
        return (note,)
    smallest = text.with_unit(f"{margin:g}", primary.unit)
    return (note, f"What matters: the experiment counts {primary.label} differences below {smallest} as too small.")


def _words() -> str:
    return "; ".join(f"{word}: {meaning}" for word, meaning in MEANINGS.items())


def _table(
    table: str,
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    members: Sequence[tuple[Summary, Difference]],
    floors: Sequence[tuple[Summary, Difference]],
) -> Compared:
    base = rows[BASE]
    names = metric_names([row for row, _ in members] + [base], primary)
    others = tuple(metric(name) for name in names if name != primary.name and name in MAIN_METRICS)
    against = _Against(
        base=base,
        seeds=tuple(seed for seed in base.seeds if seed is not None),
        primary=primary,
        others=others,
        verdicts={one.name: verdicts(results, rows, table, one) for one in (primary, *others)},
    )
    found = tuple(one for _, one in members)
    return Compared(table, _grid(table, against, members, floors), found, against.verdicts[primary.name])


def _grid(
    table: str,
    against: _Against,
    members: Sequence[tuple[Summary, Difference]],
    floors: Sequence[tuple[Summary, Difference]],
) -> Grid:
    primary = against.primary
    direction = "best near 1" if primary.direction == "near 1" else f"{primary.direction} is better"
    shown = [against.base, *(row for row, _ in members)]
    return Grid(
        name=f"differences_{table}",
        caption=f"{primary.label} of each row minus that of {BASE}, same seeds and same images ({direction}).",
        columns=_columns(against),
        lines=tuple(_line(row, found, against) for row, found in members),
        apart=tuple(_line(row, found, against) for row, found in floors),
        notes=(*_without_word(members, against), *_noise_notes(shown, primary), *environment_notes(shown)),
    )


def _columns(against: _Against) -> tuple[Column, ...]:
    name, unit = against.primary.name, against.primary.unit
    return (
        ROW_COLUMN,
        Column(
            f"{name}_difference",
            f"Δ\N{NO-BREAK SPACE}{against.primary.label}, mean",
            unit,
            hint="Row minus base, mean over seeds.",
        ),
        Column("low", "interval", unit, hint="Holds together with the others of this table, with 95 %."),
        Column("high", "high", unit, csv_only=True),
        Column("word", "word", numeric=False, hint="What the interval says of the row."),
        Column("resolution", "resolution", unit, hint="Half the interval's width."),
        Column(
            "seeds_needed",
            "seeds in all",
            hint="What would resolve the smallest difference that matters, with these images.",
        ),
        Column("improved_share", "images improved", "%", hint="Share of (seed, image) pairs better than in base."),
        *(Column(f"{name}_difference_seed{seed}", f"seed {seed}", unit, csv_only=True) for seed in against.seeds),
        Column(f"{name}_difference_spread", "spread over seeds", unit, csv_only=True),
        *(column for one in against.others for column in _other_columns(one)),
    )


def _other_columns(one: Metric) -> tuple[Column, ...]:
    name = f"{one.name}_difference"
    label = f"Δ\N{NO-BREAK SPACE}{one.label}"
    hint = f"{one.meaning} In brackets: 95 % interval of this difference alone."
    ends = (Column(f"{name}_{end}", f"{label}, {end}", one.unit, csv_only=True) for end in ("low", "high"))
    return (Column(name, label, one.unit, hint=hint), *ends)


def _line(row: Summary, found: Difference, against: _Against) -> Line:
    decimals = against.primary.difference_decimals
    by_seed = [found.by_seed.get(seed) for seed in against.seeds]
    share = None if found.improved_share is None else 100 * found.improved_share
    return (
        plain(row.row),
        Cell(found.mean, text.signed(found.mean, decimals)),
        *_verdict_cells(against.verdicts[against.primary.name].get(row.row), decimals),
        Cell(found.improved_share, text.number(share, 0), hint=f"of {text.count(found.pairs, 'pair')} (seed, image)"),
        *(Cell(value, text.signed(value, decimals)) for value in by_seed),
        Cell(found.spread, text.number(found.spread, decimals)),
        *(cell for one in against.others for cell in _other(row, against, one)),
    )


def _verdict_cells(verdict: Verdict | None, decimals: int) -> Line:
    """Interval (in the CSV file its lower end), upper end, word, resolution and seeds needed."""
    estimate = verdict.estimate if verdict else None
    word, reason = (verdict.word, verdict.reason) if verdict else (None, "")
    meaning = MEANINGS[word] if word else f"No word: {reason}." if reason else ""
    shown = Cell(word, word or text.ABSENT, hint=meaning)
    if estimate is None:
        absent = Cell(None, text.ABSENT)
        return (absent, absent, shown, absent, absent)
    low, high = text.signed(estimate.low, decimals), text.signed(estimate.high, decimals)
    return (
        Cell(estimate.low, f"[{low}, {high}]"),
        Cell(estimate.high, high),
        shown,
        Cell(estimate.resolution, text.number(estimate.resolution, decimals)),
        _seeds_needed(verdict),
    )


def _seeds_needed(verdict: Verdict | None) -> Cell:
    """Only where the word leaves something open; without a word the reason tells what is missing."""
    if verdict is None or verdict.word not in ("inconclusive", "no gain") or verdict.estimate is None:
        return Cell(None, text.ABSENT)
    needed = verdict.estimate.seeds_needed
    if needed is None:
        return Cell("more images", "more images", hint="No number of seeds (up to 100) resolves it with these images.")
    return Cell(needed, "enough" if needed == verdict.estimate.seeds else str(needed))


def _without_word(members: Sequence[tuple[Summary, Difference]], against: _Against) -> list[str]:
    """One note a reason."""
    reasons: dict[str, list[str]] = {}
    for row, _ in members:
        verdict = against.verdicts[against.primary.name].get(row.row)
        if verdict and verdict.reason:
            reasons.setdefault(verdict.reason, []).append(text.printable(row.row))
    if len(reasons) == 1 and len(members) == len(next(iter(reasons.values()))):
        return [f"No words here: {next(iter(reasons))}."]
    return [f"No word for {text.listing(names)}: {reason}." for reason, names in reasons.items()]


def _noise_notes(rows: Sequence[Summary], primary: Metric) -> list[str]:
    """Rows that are much noisier, or much less so, than the others; fewer than three seeds cannot show it."""
    spreads = {row.row: row.spread(primary.name) for row in rows if len(row.finished) >= FEWEST_SEEDS}
    known = {row: spread for row, spread in spreads.items() if spread}
    if len(known) < 3:
        return []
    middle = median(known.values())
    odd = [row for row, spread in known.items() if not middle / _MUCH_NOISIER <= spread <= middle * _MUCH_NOISIER]
    if not odd:
        return []
    names = text.listing([text.printable(row) for row in odd])
    return [f"Spread over seeds differs more than threefold from the table's median: {names}."]


def _other(row: Summary, against: _Against, one: Metric) -> Line:
    found = difference(row, against.base, one, scores=None)
    mean = found.mean if found else None
    verdict = against.verdicts[one.name].get(row.row)
    estimate = verdict.estimate if verdict else None
    if estimate is None:
        return (Cell(mean, text.signed(mean, one.difference_decimals)), Cell(None, ""), Cell(None, ""))
    low, high = (text.signed(end, one.difference_decimals) for end in (estimate.low, estimate.high))
    shown = f"{text.signed(mean, one.difference_decimals)} [{low}, {high}]"
    return (Cell(mean, shown), Cell(estimate.low, low), Cell(estimate.high, high))
