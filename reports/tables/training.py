"""Tables of training: what it cost, which steps rows shared, the stages, and whether rows were trained long enough."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric, ordered
from reports.results import Results, find_metric
from reports.results.summary import Summary
from reports.schema import StageRecord

_PSNR = metric("psnr")
_STILL_LEARNING_DB = 0.1
"""Gain over the last fifth that counts as still learning, where the equivalence margin is not in dB."""


@dataclass(frozen=True)
class TrainingCost:
    """Training of one row, all seeds and attempts together."""

    trained_steps: int
    reused_steps: int
    shared_steps: int
    """Reused steps that another row of this run trained."""
    trained_seconds: float
    total_seconds: float | None
    """With gates, evaluation and everything else; None where no record has it."""
    peak_memory_bytes: float | None


@dataclass(frozen=True)
class LastStage:
    """PSNR on val after a row's last stage, in dB, means over seeds; None where the records do not have it."""

    row: str
    psnr: float | None
    over_identity: float | None
    late_gain: float | None
    """Gain over the last fifth of the steps."""
    is_still_learning: bool
    """Whether the last fifth added more than what matters, so that more steps would probably add more."""

    @property
    def is_worse_than_nothing(self) -> bool:
        """Tell whether the restored images are worse than the degraded ones."""
        return self.over_identity is not None and self.over_identity < 0


def cost_of(row: Summary, trained_elsewhere: frozenset[str] = frozenset()) -> TrainingCost:
    """Return what one row cost; `trained_elsewhere` are the keys of stages that other rows of this run trained."""
    stages = [stage for record in row.attempts for stage in record.stages]
    trained, reused = ([stage for stage in stages if stage.reused is is_reused] for is_reused in (False, True))
    totals = [record.provenance.get("seconds") for record in row.attempts]
    seconds = [float(total) for total in totals if isinstance(total, int | float)]
    return TrainingCost(
        trained_steps=sum(stage.steps for stage in trained),
        reused_steps=sum(stage.steps for stage in reused),
        shared_steps=sum(stage.steps for stage in reused if stage.key in trained_elsewhere),
        trained_seconds=sum(stage.seconds or 0.0 for stage in trained),
        total_seconds=sum(seconds) if any(seconds) else None,
        peak_memory_bytes=max(
            [stage.peak_memory_bytes for stage in trained if stage.peak_memory_bytes is not None], default=None
        ),
    )


def costs_of(rows: Sequence[Summary]) -> dict[str, TrainingCost]:
    """Return row -> cost, for the trained rows."""
    keys = {
        row.row: frozenset(stage.key for record in row.attempts for stage in record.stages if not stage.reused)
        for row in rows
    }
    return {
        row.row: cost_of(row, frozenset(key for other, trained in keys.items() if other != row.row for key in trained))
        for row in rows
        if not row.is_baseline
    }


def sharing_summary(costs: Collection[TrainingCost]) -> str:
    """Return in words how many steps all rows together trained, shared, and took from earlier runs."""
    trained, shared = sum(cost.trained_steps for cost in costs), sum(cost.shared_steps for cost in costs)
    stored = sum(cost.reused_steps for cost in costs) - shared
    summary = f"This run trained {text.count(trained, 'step')}."
    if shared:
        share = text.number(100 * shared / (trained + shared), 0)
        summary += f" Sharing saved {text.count(shared, 'more step')} ({share} % of what the rows need): another row "
        summary += "had trained the same stages."
    if stored:
        summary += f" {text.count(stored, 'step')} came from the stage store, from earlier runs."
    return summary


def cost_table(costs: dict[str, TrainingCost]) -> Grid:
    """Return what each row cost."""
    columns = (
        ROW_COLUMN,
        Column("trained_seconds", "training"),
        Column("total_seconds", "in total", hint="With gates, evaluation and everything else."),
        Column("trained_steps", "steps trained"),
        Column("reused_steps", "steps reused"),
        Column("shared_steps", "of these shared", hint="Another row of this run trained them."),
        Column("peak_memory_bytes", "peak memory", "MB"),
    )
    lines = tuple(
        (
            plain(row),
            Cell(cost.trained_seconds, text.duration(cost.trained_seconds)),
            Cell(cost.total_seconds, text.duration(cost.total_seconds)),
            Cell(cost.trained_steps, text.number(cost.trained_steps, 0)),
            Cell(cost.reused_steps, text.number(cost.reused_steps, 0)),
            Cell(cost.shared_steps, text.number(cost.shared_steps, 0)),
            Cell(cost.peak_memory_bytes, text.megabytes(cost.peak_memory_bytes)),
        )
        for row, cost in costs.items()
    )
    return Grid("cost", "Training cost of each row, all seeds together.", columns, lines)


def stage_table(row: Summary) -> Grid | None:
    """Return the stages of one row, mean over its seeds; None where none finished."""
    by_name: dict[str, list[StageRecord]] = {}
    for stage in (stage for record in row.attempts for stage in record.stages):
        by_name.setdefault(stage.name, []).append(stage)
    if not by_name:
        return None
    metrics = [find_metric(name, row.attempts) for name in _val_metrics([row])]
    return Grid(
        name="",  # the CSV file has all stages, seed by seed
        caption=f"Stages of {text.printable(row.row)}, mean over its seeds. Metrics are of the validation images.",
        columns=(
            Column("stage", "stage", numeric=False, is_row_header=True),
            *_STAGE_COLUMNS,
            *(
                Column(f"val_{measure.name}", f"val {measure.label}", measure.unit, hint=measure.meaning)
                for measure in metrics
            ),
        ),
        lines=tuple(_stage_line(name, stages, metrics) for name, stages in by_name.items()),
    )


def all_stages_table(rows: Sequence[Summary]) -> Grid:
    """Return every stage of every row and seed, for the CSV file."""
    names = _val_metrics(rows)
    columns = (
        ROW_COLUMN,
        Column("seed", "seed"),
        Column("stage", "stage", numeric=False),
        Column("key", "key", numeric=False),
        *_STAGE_COLUMNS,
        *(Column(f"val_{name}", name) for name in names),
    )
    values = (
        (
            record.row, record.seed, stage.name, stage.key, stage.steps, int(stage.reused), stage.seconds,
            stage.images_per_second, stage.peak_memory_bytes, *(stage.val.get(name) for name in names),
        )
        for row in rows for record in row.attempts for stage in record.stages
    )  # fmt: skip
    return Grid(
        "stages",
        "Stages of all rows, seed by seed.",
        columns,
        tuple(tuple(Cell(value, "") for value in line) for line in values),
    )


def last_stages(rows: Sequence[Summary], primary: Metric, equivalence_margin: float) -> list[LastStage]:
    """Return how far each trained row came."""
    enough = equivalence_margin if primary.name == _PSNR.name and equivalence_margin else _STILL_LEARNING_DB
    stages: list[LastStage] = []
    for row in (row for row in rows if not row.is_baseline):
        last = [record.stages[-1] for record in row.finished if record.stages]
        late_gain = _mean([stage.late_gain_psnr for stage in last])
        gains = [
            stage.val["psnr"] - stage.identity_psnr
            for stage in last
            if "psnr" in stage.val and stage.identity_psnr is not None
        ]
        psnr = _mean([stage.val.get("psnr") for stage in last])
        stages.append(LastStage(row.row, psnr, _mean(gains), late_gain, late_gain is not None and late_gain > enough))
    return stages


def learning_table(stages: Sequence[LastStage]) -> Grid | None:
    """Return how far each trained row learned; None where no record has it."""
    stages = [stage for stage in stages if stage.late_gain is not None or stage.over_identity is not None]
    if not stages:
        return None

    def line(stage: LastStage) -> Line:
        readings = ["worse than doing nothing"] * stage.is_worse_than_nothing
        readings += ["still learning"] * stage.is_still_learning
        return (
            plain(stage.row),
            Cell(stage.psnr, text.number(stage.psnr, _PSNR.decimals)),
            Cell(stage.over_identity, text.signed(stage.over_identity, _PSNR.decimals)),
            Cell(stage.late_gain, text.signed(stage.late_gain, _PSNR.decimals)),
            plain(", ".join(readings)),
        )

    return Grid(
        name="learning",
        caption="How far rows learned: PSNR on val after the last stage, mean over seeds.",
        columns=(
            ROW_COLUMN,
            Column("val_psnr_db", "val PSNR", "dB"),
            Column("over_identity_db", "gain over doing nothing", "dB", hint="PSNR minus that of the degraded images."),
            Column(
                "late_gain_db", "gain in the last fifth", "dB", hint="Over the last fifth of the last stage's steps."
            ),
            Column("reading", "reading", numeric=False),
        ),
        lines=tuple(map(line, stages)),
        notes=(
            "A row that gains much in the last fifth of its last stage had too few steps to show what it can do. Where "
            "the learning rate falls to the end, part of that gain comes from the falling rate.",
        ),
        sortable=True,
    )


def tuning_table(results: Results) -> Grid | None:
    """Return a line for each tuned row, a column for each candidate; None where nothing was tuned."""
    tuned = results.tuning
    if tuned is None or not tuned.rows:
        return None
    names = list(dict.fromkeys(candidate.candidate for row in tuned.rows for candidate in row.candidates))
    measure = results.metric(tuned.metric)
    lines: list[Line] = []
    for row in tuned.rows:
        values = {candidate.candidate: candidate.value for candidate in row.candidates}
        shown = ((name, values.get(name)) for name in names)
        cells = (Cell(value, text.number(value, measure.decimals), best=name == row.chosen) for name, value in shown)
        lines.append((plain(row.row), *cells))
    edge = [text.printable(row.row) for row in tuned.rows if row.chosen in (*names[:1], *names[-1:])]
    beyond = f"The best of {text.listing(edge)} is the first or the last candidate, so better ones may lie beyond."
    return Grid(
        name="tuning",
        caption=f"Candidates of each row: {measure.label} on val, seed {tuned.seed}.",
        columns=(ROW_COLUMN, *(Column(f"{measure.name}_{name}", text.printable(name), measure.unit) for name in names)),
        lines=tuple(lines),
        notes=("Each row runs with its best. Without a number: diverged or failed.", *([beyond] if edge else ())),
    )


def learning_sentences(stages: Sequence[LastStage]) -> tuple[str, ...]:
    """Return a sentence on rows that were still learning, one on those that are worse than doing nothing."""
    learning = [text.printable(stage.row) for stage in stages if stage.is_still_learning]
    worse = [text.printable(stage.row) for stage in stages if stage.is_worse_than_nothing]
    sentences = {
        f"Still learning when training ended, so more steps would improve them: {text.listing(learning)}.": learning,
        f"On val worse than doing nothing: {text.listing(worse)}.": worse,
    }
    return tuple(sentence for sentence, names in sentences.items() if names)


_STAGE_COLUMNS = (
    Column("steps", "steps"),
    Column("reused", "weights", numeric=False, hint="Trained by this row, or reused from the stage store."),
    Column("seconds", "time"),
    Column("images_per_second", "images/s"),
    Column("peak_memory_bytes", "peak memory", "MB"),
)


def _val_metrics(rows: Sequence[Summary]) -> list[str]:
    return ordered(
        {name for row in rows for record in row.attempts for stage in record.stages for name in stage.val}, ""
    )


def _stage_line(name: str, stages: Sequence[StageRecord], metrics: Sequence[Metric]) -> Line:
    reused = sum(stage.reused for stage in stages)
    seconds = _mean([stage.seconds for stage in stages])
    speed = _mean([stage.images_per_second for stage in stages])
    memory = _mean([stage.peak_memory_bytes for stage in stages])
    weights = "trained" if not reused else "reused" if reused == len(stages) else f"reused in {reused} of {len(stages)}"
    return (
        plain(name),
        Cell(stages[0].steps, text.number(stages[0].steps, 0)),
        Cell(reused, weights),
        Cell(seconds, text.duration(seconds)),
        Cell(speed, text.significant(speed)),
        Cell(memory, text.megabytes(memory)),
        *(
            Cell(value, text.number(value, measure.decimals))
            for measure in metrics
            for value in [_mean([stage.val.get(measure.name) for stage in stages])]
        ),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return fmean(present) if present else None
