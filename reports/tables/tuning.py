"""The table of tuning: what each candidate of a row reached on val, and which one the row runs with."""

from collections.abc import Sequence

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.schema import TunedRow, TuningFile


def tuning(tuned: TuningFile | None) -> Grid | None:
    """Return a line for each tuned row, a column for each candidate; None where nothing was tuned."""
    if tuned is None or not tuned.rows:
        return None
    names = list(dict.fromkeys(candidate.candidate for row in tuned.rows for candidate in row.candidates))
    measure = metric(tuned.metric)
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
    values = {candidate.candidate: candidate.value for candidate in row.candidates}
    cells = (
        Cell(values.get(name), text.number(values.get(name), measure.decimals), best=name == row.chosen)
        for name in names
    )
    return (plain(row.row), *cells)
