"""Tables of differences: rows minus a reference row, with interval and verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.results import Results
from reports.results.summary import BASE, Difference, Summary, difference, image_scores, ranked
from reports.schema import InterimPlan
from reports.statistics.intervals import ERROR_RATE, FEWEST_SEEDS
from reports.statistics.verdicts import MEANINGS, Comparison, Family, compare_pair, compare_with_base
from reports.tables.advice import seeds_needed, what_reaches
from reports.tables.score_tables import MAIN_METRICS, environment_notes, metric_names

_MUCH_NOISIER = 3.0
"""A note names rows whose spread over seeds differs from the median by more than this factor."""

Comparisons = Mapping[str, Mapping[str, Comparison]]
"""metric -> row -> comparison"""
Compared = Sequence[tuple[Summary, Difference]]
_ABSENT = Cell(None, text.ABSENT)


@dataclass(frozen=True)
class DifferenceTable:
    """Rows against one reference row; `differences` are in the order of the grid's lines."""

    table: str
    grid: Grid
    differences: tuple[Difference, ...]
    comparisons: Mapping[str, Comparison]


def tables_against_base(rows: Mapping[str, Summary], results: Results, primary: Metric) -> tuple[DifferenceTable, ...]:
    """Return one table for each table of the experiment that has a row to compare: best row first, baselines below."""
    base = rows.get(BASE)
    if base is None or not base.by_seed(primary.name):
        return ()
    differences = _differences(rows, base, results, primary)
    compared: dict[str, Mapping[str, Comparison]] = {}
    baselines = [(row, difference) for row, difference in differences if row.is_baseline]
    tables: list[DifferenceTable] = []
    for name in dict.fromkeys(table for row in rows.values() for table in row.tables):
        members = [(row, difference) for row, difference in differences if name in row.tables]
        if not members:
            continue
        shown = [base, *(row for row, _ in members)]
        others = [metric(other) for other in metric_names(shown, primary) if other in MAIN_METRICS]
        metrics = [primary, *(other for other in others if other.name != primary.name)]
        for measure in metrics:  # one interval for each difference, whichever table shows it
            compared.setdefault(measure.name, compare_with_base(results, rows, measure))
        tables.append(
            _table(
                f"differences_{name}",
                name,
                base,
                members,
                baselines,
                metrics,
                compared,
                [*_noise_notes(shown, primary), *environment_notes(shown)],
                results.plan.equivalence_margin,
                "report",
            )
        )
    return tuple(tables)


def table_against(
    rows: Mapping[str, Summary], reference: Summary, results: Results, primary: Metric
) -> DifferenceTable:
    """Return every row minus the reference, for rows of several experiments.

    Every pair is compared alone: rows of different experiments share neither stages nor settings, so their seed noise
    is not pooled. The intervals hold together over all rows of the table.
    """
    differences = [
        (row, difference)
        for row, difference in _differences(rows, reference, results, primary)
        if row.row != reference.row
    ]
    trained = [(row, difference) for row, difference in differences if not row.is_baseline]
    family = Family(max(len(trained), 1), ERROR_RATE)
    pairs = {row.row: {name: rows[name] for name in (row.row, reference.row)} for row, _ in trained}
    comparisons = {row: compare_pair(results, pair, row, reference.row, primary, family) for row, pair in pairs.items()}
    return _table(
        "differences",
        "",
        reference,
        trained,
        [(row, difference) for row, difference in differences if row.is_baseline],
        [primary],
        {primary.name: comparisons},
        [],
        results.plan.equivalence_margin,
        "table",
    )


def how_to_read(
    seeds: int, primary: Metric, equivalence_margin: float, interim: InterimPlan | None = None
) -> tuple[str | tuple[str, ...], ...]:
    """Return paragraphs and a list: how to read differences over so many seeds, with the planned interim analyses."""
    margin = text.with_unit(f"{equivalence_margin:g}", primary.unit)
    matters = f" In this experiment, {primary.label} differences below {margin} do not matter."
    matters = matters if equivalence_margin else ""
    if seeds < 2:
        start = "There is only one seed, so a difference has no interval yet. Treat every difference as undecided."
        return (start + matters,)
    condition = (
        f"Interim analyses were planned after {text.listing(list(map(str, interim.seeds)))} seeds. After each, rows "
        "that were resolved stopped. The error rate is spent over all of them, and the intervals count all planned "
        "rows, also those that have stopped. The estimate of a stopped row (†) is biased, because it stopped when its "
        "difference was large; its interval and verdict hold."
        if interim
        else "That is so if seeds and images were fixed beforehand: to add seeds until a verdict comes out raises "
        "the rate of false ones."
    )
    return (
        "Each difference has one interval, which accounts for the chance of seeds and of test images. With 95 % "
        "probability all statements of this report hold together: the intervals of all tables, the claims and the "
        f"ranks. {condition} The resolution is half the width of the interval. The verdict "
        f"says what the interval means. If there is no verdict, a note says why.{matters}",
        tuple(f"{verdict}: {meaning}" for verdict, meaning in MEANINGS.items()),
    )


def _differences(rows: Mapping[str, Summary], reference: Summary, results: Results, primary: Metric) -> Compared:
    """Return the rows that share a seed with the reference, best first, with their differences."""
    scores = image_scores(results, primary.name)
    pairs = [(row, difference(row, reference, primary, scores)) for row in ranked(list(rows.values()), primary)]
    return [(row, gain) for row, gain in pairs if gain]


def _table(
    name: str,
    table: str,
    reference: Summary,
    members: Compared,
    baselines: Compared,
    metrics: Sequence[Metric],
    comparisons: Comparisons,
    notes: Sequence[str],
    margin: float,
    scope: str,
) -> DifferenceTable:
    """Return a table; `scope` names what its intervals hold together over."""
    primary = metrics[0]
    seeds = [seed for seed in reference.seeds if seed is not None]
    direction = "best near 1" if primary.direction == "near 1" else f"{primary.direction} is better"
    start = f"Table {text.printable(table)}: " if table else ""
    grid = Grid(
        name=name,
        caption=f"{start}{primary.label} of each row minus that of {text.printable(reference.row)}, same seeds and "
        f"same images ({direction}).",
        columns=_columns(seeds, metrics, scope),
        lines=tuple(_line(*member, reference, seeds, metrics, comparisons, margin) for member in members),
        footer_rows=tuple(_line(*baseline, reference, seeds, metrics, comparisons, margin) for baseline in baselines),
        notes=(
            *_notes_without_verdict(members, comparisons[primary.name]),
            *_notes_on_stops(members, comparisons[primary.name]),
            *notes,
        ),
    )
    shown = {row.row for row, _ in (*members, *baselines)}
    own = {row: comparison for row, comparison in comparisons[primary.name].items() if row in shown}
    return DifferenceTable(table, grid, tuple(difference for _, difference in members), own)


def _columns(seeds: Sequence[int], metrics: Sequence[Metric], scope: str) -> tuple[Column, ...]:
    primary, *others = metrics
    key, unit, delta = f"{primary.name}_difference", primary.unit, "Δ\N{NO-BREAK SPACE}"
    return (
        ROW_COLUMN,
        Column(key, f"{delta}{primary.label}, mean", unit, hint="Row minus reference, mean over seeds."),
        Column("low", "95 % interval", unit, hint=f"All intervals of the {scope} hold together with 95 % probability."),
        Column("high", "high", unit, csv_only=True),
        Column("verdict", "verdict", numeric=False, hint="What the interval says about the row."),
        Column("resolution", "resolution", unit, hint="Half the width of the interval."),
        Column(
            "seeds_needed",
            "seeds needed",
            hint="Seeds in all, or seeds and test images, that would give a first verdict, or else resolve a "
            "difference that just matters with a chance of 50 %.",
        ),
        Column("improved_share", "images improved", "%", hint="Share of (seed, image) pairs where the row is better."),
        *(Column(f"{key}_seed{seed}", f"seed {seed}", unit, csv_only=True) for seed in seeds),
        Column(f"{key}_spread", "spread over seeds", unit, csv_only=True),
        *(
            Column(
                f"{measure.name}_difference{end}",
                f"{delta}{measure.label}{end.replace('_', ', ')}",
                measure.unit,
                hint="" if end else f"{measure.meaning} In brackets: 95 % interval of this difference alone.",
                csv_only=bool(end),
            )
            for measure in others
            for end in ("", "_low", "_high")
        ),
    )


def _line(
    row: Summary,
    difference: Difference,
    reference: Summary,
    seeds: Sequence[int],
    metrics: Sequence[Metric],
    comparisons: Comparisons,
    equivalence_margin: float,
) -> Line:
    primary, *others = metrics
    decimals = primary.difference_decimals
    share = None if difference.improved_share is None else 100 * difference.improved_share
    comparison = comparisons[primary.name].get(row.row)
    mark = "\N{NO-BREAK SPACE}†" if comparison and comparison.stopped_at and not row.is_baseline else ""
    return (
        plain(row.row),
        Cell(difference.mean, text.signed(difference.mean, decimals) + mark),
        *_verdict_cells(comparison, decimals),
        _ABSENT if comparison is None or row.is_baseline else _needed_cell(row, comparison, equivalence_margin),
        Cell(
            difference.improved_share,
            text.number(share, 0),
            hint=f"of {text.count(difference.pairs, 'pair')} (seed, image)",
        ),
        *(Cell(value, text.signed(value, decimals)) for value in map(difference.by_seed.get, seeds)),
        Cell(difference.spread, text.number(difference.spread, decimals)),
        *(
            cell
            for measure in others
            for cell in _other_cells(row, reference, measure, comparisons[measure.name].get(row.row))
        ),
    )


def _verdict_cells(comparison: Comparison | None, decimals: int) -> Line:
    """Return lower end (on the page the whole interval), upper end, verdict and resolution."""
    verdict, reason = (comparison.verdict, comparison.reason) if comparison else (None, "")
    meaning = MEANINGS[verdict] if verdict else f"No verdict: {reason}." if reason else ""
    estimate = comparison.estimate if comparison else None
    is_too_early = estimate is not None and estimate.seeds < FEWEST_SEEDS and bool(reason)
    lacking = f"needs {FEWEST_SEEDS} seeds" if is_too_early else text.ABSENT
    verdict_cell = Cell(verdict, verdict or lacking, hint=meaning)
    if estimate is None:
        return (_ABSENT, _ABSENT, verdict_cell, _ABSENT)
    low, high = (text.signed(end, decimals) for end in (estimate.low, estimate.high))
    return (
        Cell(estimate.low, f"[{low}, {high}]"),
        Cell(estimate.high, high),
        verdict_cell,
        Cell(estimate.resolution, text.number(estimate.resolution, decimals)),
    )


def _needed_cell(row: Summary, comparison: Comparison, equivalence_margin: float) -> Cell:
    needed = seeds_needed(comparison, len(row.finished), equivalence_margin)
    if needed is None:
        return _ABSENT
    if needed.is_there:
        hint = "The interval is narrow enough, but lies across the margin."
    elif comparison.verdict and comparison.gain:
        hint = what_reaches(comparison.gain.precision, equivalence_margin)
    else:
        hint = "Seeds in all that give a first verdict."
    return Cell(needed.seeds, str(needed), hint=hint)


def _other_cells(row: Summary, reference: Summary, measure: Metric, comparison: Comparison | None) -> Line:
    """Return the difference in another metric, with its interval, and the ends of the interval."""
    gain = difference(row, reference, measure, scores=None)
    mean = gain.mean if gain else None
    shown = text.signed(mean, measure.difference_decimals)
    if comparison is None or comparison.estimate is None:
        return (Cell(mean, shown), Cell(None, ""), Cell(None, ""))
    ends = (comparison.estimate.low, comparison.estimate.high)
    low, high = (text.signed(end, measure.difference_decimals) for end in ends)
    return (Cell(mean, f"{shown} [{low}, {high}]"), Cell(ends[0], low), Cell(ends[1], high))


def _notes_without_verdict(members: Compared, comparisons: Mapping[str, Comparison]) -> list[str]:
    """Return one note for each reason why rows have no verdict."""
    reasons: dict[str, list[str]] = {}
    for row, _ in members:
        if row.row in comparisons and comparisons[row.row].reason:
            reasons.setdefault(comparisons[row.row].reason, []).append(text.printable(row.row))
    if [len(names) for names in reasons.values()] == [len(members)]:
        return [f"This table has no verdicts: {next(iter(reasons))}."]
    return [f"No verdict for {text.listing(names)}: {reason}." for reason, names in reasons.items()]


def _notes_on_stops(members: Compared, comparisons: Mapping[str, Comparison]) -> list[str]:
    """Return a note that names the rows that an interim analysis stopped, by their seeds; none where there are none."""
    stops: dict[int, list[str]] = {}
    for row, _ in members:
        if row.row in comparisons and (seeds := comparisons[row.row].stopped_at):
            stops.setdefault(seeds, []).append(text.printable(row.row))
    if not stops:
        return []
    named = "; ".join(f"after {seeds} seeds {text.listing(names)}" for seeds, names in sorted(stops.items()))
    return [f"†: stopped at an interim analysis, resolved, so that the estimate is biased: {named}."]


def _noise_notes(rows: Sequence[Summary], primary: Metric) -> list[str]:
    """Name rows that are much more or much less noisy than the others; fewer than three seeds cannot show it."""
    spreads = {row.row: row.spread(primary.name) or 0.0 for row in rows if len(row.finished) >= FEWEST_SEEDS}
    spreads = {row: spread for row, spread in spreads.items() if spread}
    if len(spreads) < 3:
        return []
    middle = median(spreads.values())
    unlike = [
        text.printable(row)
        for row, spread in spreads.items()
        if not middle / _MUCH_NOISIER <= spread <= middle * _MUCH_NOISIER
    ]
    if not unlike:
        return []
    return [
        "Spread over seeds more than three times the median of the table, or less than a third: "
        f"{text.listing(unlike)}."
    ]
