"""Whether rows were trained long enough, and to any use at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.results.summary import Summary
from reports.schema import StageRecord

_PSNR = metric("psnr")
_CLIMBING_DB = 0.1
"""A gain over the last fifth that counts as still learning, where the primary metric's margin is not in dB."""


@dataclass(frozen=True)
class Learnt:
    """What the last stage of a row tells, PSNR on val in dB, means over seeds; None where records do not have it."""

    row: str
    psnr: float | None
    over_identity: float | None
    late_gain: float | None
    """Of the last fifth of the stage's steps."""


def learnt(row: Summary) -> Learnt:
    """How far a trained row came."""
    last = [record.stages[-1] for record in row.finished if record.stages]
    reached = [stage.val["psnr"] for stage in last if "psnr" in stage.val]
    return Learnt(
        row.row,
        fmean(reached) if reached else None,
        _mean([_over_identity(stage) for stage in last]),
        _mean([stage.late_gain_psnr for stage in last]),
    )


def is_climbing(one: Learnt, primary: Metric, margin: float) -> bool:
    """Whether the last fifth added more than what matters, so that more steps would probably add more."""
    enough = margin if primary.name == _PSNR.name and margin else _CLIMBING_DB
    return one.late_gain is not None and one.late_gain > enough


def learning(rows: Sequence[Summary], primary: Metric, margin: float) -> Grid | None:
    """A line for each trained row; None where no record tells."""
    found = [learnt(row) for row in rows if not row.is_baseline]
    found = [one for one in found if one.late_gain is not None or one.over_identity is not None]
    if not found:
        return None
    return Grid(
        name="learning",
        caption="How far rows learnt: PSNR on val after the last stage, mean over seeds.",
        columns=(
            ROW_COLUMN,
            Column("val_psnr_db", "val PSNR", "dB"),
            Column("over_identity_db", "over doing nothing", "dB", hint="PSNR minus that of the degraded images"),
            Column("late_gain_db", "gained in the last fifth", "dB", hint="of the last stage's steps"),
            Column("reading", "reading", numeric=False),
        ),
        lines=tuple(_line(one, primary, margin) for one in found),
        notes=(
            "A row that gains much in the last fifth of its last stage had too few steps to show what it can; where "
            "the learning rate falls to the end, part of that gain is the fall's own.",
        ),
        sortable=True,
    )


def too_short(rows: Sequence[Summary], primary: Metric, margin: float) -> tuple[str, ...]:
    """A sentence on the rows that were still learning, one on those that do harm; empty where there are none."""
    found = [learnt(row) for row in rows if not row.is_baseline]
    climbing = [text.printable(one.row) for one in found if is_climbing(one, primary, margin)]
    harmful = [text.printable(one.row) for one in found if one.over_identity is not None and one.over_identity < 0]
    said = [
        f"Still learning when training ended, so more steps would raise them: {text.listing(climbing)}.",
        f"On val worse than doing nothing: {text.listing(harmful)}.",
    ]
    return tuple(sentence for sentence, names in zip(said, (climbing, harmful), strict=True) if names)


def _line(one: Learnt, primary: Metric, margin: float) -> Line:
    over, late = one.over_identity, one.late_gain
    reading = ["below doing nothing"] * (over is not None and over < 0)
    reading += ["still learning"] * is_climbing(one, primary, margin)
    return (
        plain(one.row),
        Cell(one.psnr, text.number(one.psnr, _PSNR.decimals)),
        Cell(over, text.signed(over, _PSNR.decimals)),
        Cell(late, text.signed(late, _PSNR.decimals)),
        plain(", ".join(reading)),
    )


def _over_identity(stage: StageRecord) -> float | None:
    reached, untouched = stage.val.get("psnr"), stage.identity_psnr
    return None if reached is None or untouched is None else reached - untouched


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
