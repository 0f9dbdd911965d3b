"""All rows on all test sets in one table: mean, the places a row may have, and the verdict against the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import TEST, Metric, split_of
from reports.results import Results
from reports.results.summary import BASE, Summary, ranked
from reports.statistics.ranks import Order, order_of
from reports.statistics.verdicts import MEANINGS, Comparison, compare_with_base

_ABSENT = Cell(None, text.ABSENT)


@dataclass(frozen=True)
class OnTestSet:
    """What the rows are worth on one test set."""

    metric: Metric
    """The primary metric on this set, e.g. `psnr@photographs`."""
    order: Order
    comparisons: Mapping[str, Comparison]
    """Row -> the row against the reference."""

    @property
    def name(self) -> str:
        """Name of the test set."""
        return split_of(self.metric.name)[1]


def on_test_set(results: Results, name: str) -> Results:
    """Return the results with the primary metric on a test set, so that margin and pooling are those of it."""
    bare, _ = split_of(results.plan.primary)
    primary = bare if name == TEST else f"{bare}@{name}"
    return replace(results, plan=results.plan.model_copy(update={"primary": primary}))


def sets_of(results: Results) -> tuple[str, ...]:
    """Return the test sets on which any finished row has the primary metric, `test` first."""
    bare, _ = split_of(results.plan.primary)
    names = {split for record in results.finished for split, scores in record.scores.items() if bare in scores}
    return tuple(sorted(names - {"val"}, key=lambda name: (name != TEST, name)))


def rows_on_test_sets(rows: Mapping[str, Summary], results: Results) -> tuple[OnTestSet, ...]:
    """Return what the rows of a run are worth on each of its test sets, against its base row."""
    sets: list[OnTestSet] = []
    for name in sets_of(results):
        own = on_test_set(results, name)
        metric = own.metric(own.plan.primary)
        has_base = BASE in rows and bool(rows[BASE].by_seed(metric.name))
        compared = compare_with_base(own, rows, metric) if has_base else {}
        sets.append(OnTestSet(metric, order_of(own, rows, metric), compared))
    return tuple(sets)


def pivot_table(rows: Sequence[Summary], sets: Sequence[OnTestSet], reference: str) -> Grid | None:
    """Return one line a row and three columns a test set; None where there are not two sets.

    Args:
        rows: All rows.
        sets: The test sets; the first one gives the order of the rows.
        reference: The row that verdicts are against.
    """
    if len(sets) < 2:
        return None
    trained, baselines = (
        ranked([row for row in rows if row.is_baseline is is_baseline], sets[0].metric) for is_baseline in (False, True)
    )
    return Grid(
        name="test_sets",
        caption=f"Rows on every test set: mean, the places that a row may have, verdict against "
        f"{text.printable(reference)}.",
        columns=(ROW_COLUMN, *(column for of_set in sets for column in _columns(of_set))),
        lines=tuple(_line(row, sets) for row in trained),
        footer_rows=tuple(_line(row, sets) for row in baselines),
        notes=(
            "Places and verdicts of a further test set hold together with 95 % probability on that set alone. "
            f"A row without a place lacks seeds or images that others have; {text.ABSENT}: no verdict.",
        ),
        sortable=True,
    )


def _columns(of_set: OnTestSet) -> list[Column]:
    name, key = text.printable(of_set.name), of_set.name
    bare, _ = split_of(of_set.metric.name)
    return [
        Column(f"{bare}_{key}", f"{of_set.metric.label.partition(' on ')[0]}, {name}", of_set.metric.unit),
        Column(f"rank_{key}", f"rank, {name}", hint="The places that the row may have."),
        Column(f"verdict_{key}", f"verdict, {name}", numeric=False),
    ]


def _line(row: Summary, sets: Sequence[OnTestSet]) -> Line:
    return (plain(row.row), *(cell for of_set in sets for cell in _cells(row, of_set)))


def _cells(row: Summary, of_set: OnTestSet) -> Line:
    mean = row.mean(of_set.metric.name)
    comparison = of_set.comparisons.get(row.row)
    verdict = comparison.verdict if comparison else None
    meaning = MEANINGS[verdict] if verdict else f"No verdict: {comparison.reason}." if comparison else ""
    rank = _ABSENT
    if row.row in of_set.order.rows:
        first, last = of_set.order.rank(row.row)
        rank = Cell(first, f"{first}–{last}" if last > first else str(first))
    return (
        Cell(mean, text.number(mean, of_set.metric.decimals)),
        rank,
        Cell(verdict, verdict or text.ABSENT, hint=meaning),
    )
