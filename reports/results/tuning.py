"""What each candidate of tuning reached on val, and which one a row runs with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.results.records import Json


@dataclass(frozen=True)
class TunedRow:
    """`tries`: candidate -> mean on val, None where it came to no end; `chosen`: the best, None where none did."""

    row: str
    chosen: str | None
    tries: Mapping[str, float | None]


@dataclass(frozen=True)
class Tuned:
    """What tuning.json says."""

    metric: str
    seed: int
    rows: tuple[TunedRow, ...]


def tuned_from(data: Json) -> Tuned:
    """Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` on data of another form."""
    rows = tuple(
        TunedRow(
            str(row["row"]),
            None if row["chosen"] is None else str(row["chosen"]),
            {str(one["candidate"]): None if one["value"] is None else float(one["value"]) for one in row["tries"]},
        )
        for row in data["rows"]
    )
    return Tuned(str(data["metric"]), int(data["seed"]), rows)


def tuning(tuned: Tuned | None) -> Grid | None:
    """A line for each tuned row, a column for each candidate; None where nothing was tuned."""
    if tuned is None or not tuned.rows:
        return None
    measure, names = metric(tuned.metric), list(dict.fromkeys(name for row in tuned.rows for name in row.tries))
    edge = [text.printable(row.row) for row in tuned.rows if row.chosen in (names[0], names[-1])]
    beyond = f"The best of {text.listing(edge)} is the first or the last candidate: better ones may lie beyond."
    return Grid(
        name="tuning",
        caption=f"Candidates each row was tried with: {measure.label} on val, seed {tuned.seed}.",
        columns=(ROW_COLUMN, *(Column(f"{measure.name}_{name}", text.printable(name), measure.unit) for name in names)),
        lines=tuple(_line(row, names, measure) for row in tuned.rows),
        notes=("Each row runs with its best. Without a number: diverged or failed.", *([beyond] if edge else ())),
    )


def _line(row: TunedRow, names: Sequence[str], measure: Metric) -> Line:
    cells = (
        Cell(row.tries.get(name), text.number(row.tries.get(name), measure.decimals), best=name == row.chosen)
        for name in names
    )
    return (plain(row.row), *cells)
