"""Which rows of a rung go on to the next one: a choice by validation scores alone, as that of tuning is.

It saves training time and decides nothing else: verdicts come from the test scores of rows with all seeds. Rows without
a score on val, because they failed, were rejected or train nothing, are not known to be worse, and go on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy import special  # not stats, which takes long to import

from benchmark.experiment.load import BASE
from benchmark.experiment.plan import Plan, PlannedRow
from benchmark.experiment.scales import Promotion
from benchmark.runner.context import Context
from benchmark.runner.record_writer import planned_record
from reports.metrics import IMAGE_METRICS, Metric, own_metric

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class RungScores:
    """What a row reached on val on a rung."""

    by_seed: Mapping[int, float]
    """Goodness, higher is better, after the last stage."""
    macs: int | None


def promoted(plan: Plan, context: Context, promotion: Promotion) -> list[str]:
    """Return the names of the rows of a finished rung that go on, in their order; the base row always does."""
    names = list(dict.fromkeys(row.row for row in plan.rows))
    if promotion == "all":
        return names
    metric = _metric(plan, context)
    rows = {name: _scores([row for row in plan.rows if row.row == name], metric, context) for name in names}
    margin = plan.experiment.report.equivalence_margin
    chosen = open_rows(rows, margin) if promotion == "undecided" else front(rows, margin)
    return [name for name in names if name == BASE or name in chosen]


def open_rows(rows: Mapping[str, RungScores], margin: float) -> set[str]:
    """Return the rows whose difference to the base row is not settled.

    A difference is the mean over the seeds that both rows have; its noise is pooled over all rows, since few seeds tell
    little of their own. It is settled where its 95 % interval lies on one side of the margin, or within it.

    Args:
        rows: Scores by row, the base row among them.
        margin: The smallest difference that matters.
    """
    base = rows[BASE].by_seed
    gains = {
        name: [value - base[seed] for seed, value in row.by_seed.items() if seed in base]
        for name, row in rows.items()
        if name != BASE
    }
    repeated = [values for values in gains.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return set(gains)
    noise = sum(variance(values) * (len(values) - 1) for values in repeated) / freedom
    reach = float(special.stdtrit(freedom, (1 + _CONFIDENCE) / 2)) * math.sqrt(noise)
    return {
        name
        for name, values in gains.items()
        if not values or not _is_settled(fmean(values), reach / math.sqrt(len(values)), margin)
    }


def _is_settled(gain: float, half_width: float, margin: float) -> bool:
    low, high = gain - half_width, gain + half_width
    return low > margin or high < -margin or (-margin <= low and high <= margin)


def front(rows: Mapping[str, RungScores], margin: float) -> set[str]:
    """Return the rows that no other row beats: by more than the margin, with no more multiply-adds."""

    def beats(rival: RungScores, row: RungScores) -> bool:
        if rival.macs is None or row.macs is None or not rival.by_seed:
            return False
        gain = fmean(rival.by_seed.values()) - fmean(row.by_seed.values())
        return rival.macs <= row.macs and gain > margin

    return {
        name for name, row in rows.items() if not row.by_seed or not any(beats(rival, row) for rival in rows.values())
    }


def _scores(seeds: Sequence[PlannedRow], metric: Metric, context: Context) -> RungScores:
    planned = [planned_record(context.output / row.folder, row.config_hash) for row in seeds]
    records = [record for record in planned if record and record.status == "done" and record.seed is not None]
    values = {
        record.seed: -metric.sort_key(record.stages[-1].val[metric.name])
        for record in records
        if record.seed is not None and record.stages and metric.name in record.stages[-1].val
    }
    return RungScores(values, next((record.model.macs for record in records if record.model), None))


def _metric(plan: Plan, context: Context) -> Metric:
    """Return the facts of the metric that rows are ranked by."""
    name = plan.experiment.report.primary
    if name in IMAGE_METRICS:
        return IMAGE_METRICS[name]
    own = context.registry.find("metric", name)
    return own_metric(name, own.unit, own.direction, own.formula, own.decimals)
