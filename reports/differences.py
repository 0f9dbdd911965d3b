"""The tables of differences: the rows of one table against the base row, seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.records import Results
from reports.summary import BASE, Difference, Summary, difference, image_scores, ranked
from reports.tables import MAIN_METRICS, environment_notes, metric_names


@dataclass(frozen=True)
class Compared:
    """One table of the experiment against the base row; `found` is in the order of the grid's lines."""

    table: str
    grid: Grid
    found: tuple[Difference, ...]


def compared(rows: Mapping[str, Summary], results: Results, primary: Metric) -> tuple[Compared, ...]:
    """The tables that have a row to compare with base, best row first, floor rows apart in each."""
    base = rows.get(BASE)
    if base is None or not base.by_seed(primary.name):
        return ()
    scores = image_scores(results, primary.name)

    def against_base(members: Sequence[Summary]) -> list[tuple[Summary, Difference]]:
        pairs = [(row, difference(row, base, primary, scores)) for row in ranked(members, primary)]
        return [(row, found) for row, found in pairs if found]

    floors = against_base([row for row in rows.values() if row.is_floor])
    names = dict.fromkeys(table for row in rows.values() for table in row.tables)
    tabled = {name: against_base([row for row in rows.values() if name in row.tables]) for name in names}
    return tuple(
        Compared(name, _grid(name, base, members, floors, primary), tuple(found for _, found in members))
        for name, members in tabled.items()
        if members
    )


def reading(seeds: int, primary: Metric, margin: float) -> tuple[str, ...]:
    """How to read differences over so many seeds."""
    if seeds < 2:
        note = "One seed: a difference has no spread yet, so treat every difference as undecided."
    else:
        note = (
            "Differences are shown with their spread over seeds (highest minus lowest); with so few seeds treat those "
            "smaller than the spread as undecided."
        )
    if not margin:
        return (note,)
    smallest = text.with_unit(f"{margin:g}", primary.unit)
    return (note, f"The experiment counts {primary.label} differences below {smallest} as too small to matter.")


def _grid(
    table: str,
    base: Summary,
    members: Sequence[tuple[Summary, Difference]],
    floors: Sequence[tuple[Summary, Difference]],
    primary: Metric,
) -> Grid:
    names = metric_names([row for row, _ in members] + [base], primary)
    others = [metric(name) for name in names if name != primary.name and name in MAIN_METRICS]
    seeds = [seed for seed in base.seeds if seed is not None]
    direction = "best near 1" if primary.better == "near 1" else f"{primary.better} is better"
    return Grid(
        name=f"differences_{table}",
        caption=f"{primary.label} of each row minus that of {BASE}, same seeds and same images ({direction}).",
        columns=_columns(seeds, primary, others),
        lines=tuple(_line(row, base, found, seeds, primary, others) for row, found in members),
        apart=tuple(_line(row, base, found, seeds, primary, others) for row, found in floors),
        notes=tuple(environment_notes([base, *(row for row, _ in members)])),
    )


def _columns(seeds: Sequence[int], primary: Metric, others: Sequence[Metric]) -> tuple[Column, ...]:
    name, unit = primary.name, primary.unit
    return (
        ROW_COLUMN,
        Column(
            f"{name}_difference",
            f"Δ\N{NO-BREAK SPACE}{primary.label}, mean",
            unit,
            hint="Row minus base, mean over seeds.",
        ),
        *(Column(f"{name}_difference_seed{seed}", f"seed\N{NO-BREAK SPACE}{seed}", unit) for seed in seeds),
        Column(f"{name}_difference_spread", "spread over seeds", unit, hint="Highest minus lowest seed."),
        Column("improved_share", "images improved", "%", hint="Share of (seed, image) pairs better than in base."),
        *(
            Column(f"{one.name}_difference", f"Δ\N{NO-BREAK SPACE}{one.label}", one.unit, hint=one.meaning)
            for one in others
        ),
    )


def _line(
    row: Summary,
    base: Summary,
    found: Difference,
    seeds: Sequence[int],
    primary: Metric,
    others: Sequence[Metric],
) -> Line:
    decimals = primary.difference_decimals
    by_seed = [found.by_seed.get(seed) for seed in seeds]
    share = None if found.improved_share is None else 100 * found.improved_share
    return (
        plain(row.row),
        Cell(found.mean, text.signed(found.mean, decimals)),
        *(Cell(value, text.signed(value, decimals)) for value in by_seed),
        Cell(found.spread, text.number(found.spread, decimals)),
        Cell(found.improved_share, text.number(share, 0), hint=f"of {text.count(found.pairs, 'pair')} (seed, image)"),
        *(_other(row, base, one) for one in others),
    )


def _other(row: Summary, base: Summary, one: Metric) -> Cell:
    found = difference(row, base, one, scores=None)
    mean = found.mean if found else None
    return Cell(mean, text.signed(mean, one.difference_decimals))
