"""What training took: stages, seconds, and the steps that rows did not have to train because another row had."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric, ordered
from reports.results.summary import Summary
from reports.schema import Record, StageRecord


@dataclass(frozen=True)
class Cost:
    """Training of one row, all its seeds and attempts together."""

    trained_steps: int
    reused_steps: int
    shared_steps: int
    """Those of the reused steps that another row of this run trained."""
    trained_seconds: float
    total_seconds: float | None
    """With gates, evaluation and all else; None where no record tells."""
    peak_memory_bytes: float | None


@dataclass(frozen=True)
class Sharing:
    """Training of all rows together."""

    trained_steps: int
    shared_steps: int
    stored_steps: int
    """Reused steps that no row of this run trained: they come from an earlier run."""


def cost(row: Summary, trained_elsewhere: frozenset[str] = frozenset()) -> Cost:
    """What one row cost. `trained_elsewhere`: the keys of the stages that other rows of this run trained."""
    stages = [stage for record in row.attempts for stage in record.stages]
    trained = [stage for stage in stages if not stage.reused]
    reused = [stage for stage in stages if stage.reused]
    totals = [_real(record.provenance.get("seconds")) for record in row.attempts]
    peaks = [stage.peak_memory_bytes for stage in trained if stage.peak_memory_bytes is not None]
    return Cost(
        trained_steps=sum(stage.steps for stage in trained),
        reused_steps=sum(stage.steps for stage in reused),
        shared_steps=sum(stage.steps for stage in reused if stage.key in trained_elsewhere),
        trained_seconds=sum(stage.seconds or 0.0 for stage in trained),
        total_seconds=sum(total for total in totals if total is not None) if any(totals) else None,
        peak_memory_bytes=max(peaks, default=None),
    )


def all_costs(rows: Sequence[Summary]) -> dict[str, Cost]:
    """Row name -> cost, for the trained rows."""
    trained = [row for row in rows if not row.is_baseline]
    keys = {
        row.row: frozenset(s.key for record in row.attempts for s in record.stages if not s.reused) for row in trained
    }
    return {
        row.row: cost(row, frozenset(key for other, found in keys.items() if other != row.row for key in found))
        for row in trained
    }


def sharing(found: Sequence[Cost]) -> Sharing:
    """The sums over all rows."""
    reused = sum(one.reused_steps for one in found)
    shared = sum(one.shared_steps for one in found)
    return Sharing(sum(one.trained_steps for one in found), shared, reused - shared)


def sharing_sentences(total: Sharing) -> tuple[str, ...]:
    """The summary of sharing in words."""
    steps = total.trained_steps + total.shared_steps
    sentences = [f"This run trained {text.count(total.trained_steps, 'step')}."]
    if total.shared_steps:
        share = text.number(100 * total.shared_steps / steps, 0)
        sentences.append(
            f"{text.count(total.shared_steps, 'step')} more ({share} % of what its rows ask for) were saved by "
            "sharing: another row had trained the same stages."
        )
    if total.stored_steps:
        sentences.append(f"{text.count(total.stored_steps, 'step')} came from earlier runs in the stage store.")
    return tuple(sentences)


def grid(found: dict[str, Cost]) -> Grid:
    """What each row cost."""
    columns = (
        ROW_COLUMN,
        Column("trained_seconds", "training"),
        Column("total_seconds", "all in all", hint="With gates, evaluation and everything else."),
        Column("trained_steps", "steps trained"),
        Column("reused_steps", "steps reused"),
        Column("shared_steps", "of these shared", hint="Another row of this run trained them."),
        Column("peak_memory_bytes", "peak memory", "MB"),
    )
    lines = tuple(_line(row, one) for row, one in found.items())
    return Grid("cost", "Training cost of each row, all seeds together.", columns, lines)


def stages(row: Summary) -> Grid | None:
    """The stages of one row, mean over its seeds; None where none finished."""
    by_name = _by_name(row)
    if not by_name:
        return None
    names = ordered({name for found in by_name.values() for stage in found for name in stage.val}, "")
    shown = [metric(name) for name in names]
    return Grid(
        name="stages",
        caption=f"Stages of {text.printable(row.row)}, mean over its seeds; metrics are of the validation images.",
        columns=(
            Column("stage", "stage", numeric=False, heads_row=True),
            *_stage_columns(),
            *(Column(f"val_{one.name}", f"val {one.label}", one.unit, hint=one.meaning) for one in shown),
        ),
        lines=tuple(_stage_line(name, found, shown) for name, found in by_name.items()),
    )


def all_stages(rows: Sequence[Summary]) -> Grid:
    """Every stage of every row and seed, for the CSV file."""
    records = [record for row in rows for record in row.attempts]
    names = ordered({name for record in records for stage in record.stages for name in stage.val}, "")
    columns = (
        ROW_COLUMN,
        Column("seed", "seed"),
        Column("stage", "stage", numeric=False),
        Column("key", "key", numeric=False),
        *_stage_columns(),
        *(Column(f"val_{name}", name) for name in names),
    )
    lines = tuple(_seed_line(record, stage, names) for record in records for stage in record.stages)
    return Grid("stages", "Stages of all rows, seed by seed.", columns, lines)


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _line(row: str, one: Cost) -> Line:
    return (
        plain(row),
        Cell(one.trained_seconds, text.duration(one.trained_seconds)),
        Cell(one.total_seconds, text.duration(one.total_seconds)),
        Cell(one.trained_steps, text.number(one.trained_steps, 0)),
        Cell(one.reused_steps, text.number(one.reused_steps, 0)),
        Cell(one.shared_steps, text.number(one.shared_steps, 0)),
        Cell(one.peak_memory_bytes, text.megabytes(one.peak_memory_bytes)),
    )


def _by_name(row: Summary) -> dict[str, list[StageRecord]]:
    found: dict[str, list[StageRecord]] = {}
    for record in row.attempts:
        for stage in record.stages:
            found.setdefault(stage.name, []).append(stage)
    return found


def _stage_columns() -> tuple[Column, ...]:
    return (
        Column("steps", "steps"),
        Column("reused", "weights", numeric=False, hint="Trained by this row, or reused from the stage store."),
        Column("seconds", "time"),
        Column("images_per_second", "images/s"),
        Column("peak_memory_bytes", "peak memory", "MB"),
    )


def _stage_line(name: str, found: Sequence[StageRecord], shown: Sequence[Metric]) -> Line:
    reused = sum(stage.reused for stage in found)
    seconds = _mean([stage.seconds for stage in found])
    speed = _mean([stage.images_per_second for stage in found])
    memory = _mean([stage.peak_memory_bytes for stage in found])
    values = [_mean([stage.val.get(one.name) for stage in found]) for one in shown]
    weights = "trained" if not reused else "reused" if reused == len(found) else f"reused in {reused} of {len(found)}"
    return (
        plain(name),
        Cell(found[0].steps, text.number(found[0].steps, 0)),
        Cell(reused, weights),
        Cell(seconds, text.duration(seconds)),
        Cell(speed, text.significant(speed)),
        Cell(memory, text.megabytes(memory)),
        *(Cell(value, text.number(value, one.decimals)) for value, one in zip(values, shown, strict=True)),
    )


def _seed_line(record: Record, stage: StageRecord, names: Sequence[str]) -> Line:
    values = (
        record.row, record.seed, stage.name, stage.key, stage.steps, int(stage.reused), stage.seconds,
        stage.images_per_second, stage.peak_memory_bytes, *(stage.val.get(name) for name in names),
    )  # fmt: skip
    return tuple(Cell(value, "") for value in values)


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return fmean(present) if present else None
