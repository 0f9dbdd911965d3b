"""Compare rows of a run with a reference row: an interval and a verdict, or the reason why there is no verdict."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from reports.metrics import Metric, split_of
from reports.results import Results, ScoreArray, ScoreArrays
from reports.results.summary import BASE, Summary
from reports.schema import PlanFile
from reports.statistics.error_spending import Analyses
from reports.statistics.family import comparisons_of_report
from reports.statistics.intervals import (
    DIFFERENCE_ERROR_RATE,
    ENOUGH_SEEDS,
    ERROR_RATE,
    FEWEST_SEEDS,
    Estimate,
    Verdict,
    compare,
    is_covered,
    verdict_of,
)
from reports.statistics.seed_noise import Floats, seed_noise_groups

MEANINGS: dict[Verdict, str] = {
    "gain": "clearly better",
    "loss": "clearly worse",
    "equivalent": "any difference is smaller than what matters",
    "no gain": "a gain that matters is excluded, a loss is not",
    "negligible gain": "clearly better, but by less than what matters",
    "negligible loss": "clearly worse, but by less than what matters",
    "inconclusive": "this run cannot tell",
}
"""What each verdict means, for readers."""


_NO_SCORES = ScoreArray(frozenset(), np.empty(0))


@dataclass(frozen=True)
class Family:
    """So many intervals hold together: with this probability any of them misses its true difference."""

    comparisons: int
    error_rate: float
    analyses: Analyses | None = None
    """The planned ones, over which the error rate is spent; None: there is one."""


ALONE = Family(1, ERROR_RATE)
"""An interval that holds for itself only."""


@dataclass(frozen=True)
class Comparison:
    """A row against a reference row. Either `verdict` is set, or `reason` says why there is none."""

    row: str
    reference: str
    estimate: Estimate | None
    """Row minus reference, in the unit of the metric."""
    gain: Estimate | None
    """The same with better counted as positive. For a metric that is best near 1: how much nearer to 1 the row is."""
    verdict: Verdict | None
    reason: str
    stopped_at: int | None = None
    """Seeds at the interim analysis after which one of the two stopped, resolved. It stopped because the difference was
    large by then, so the estimate is biased; interval and verdict hold. None: neither stopped."""


def compare_with_base(results: Results, rows: Mapping[str, Summary], metric: Metric) -> dict[str, Comparison]:
    """Compare all rows, baselines too, with the base row.

    The intervals of the primary metric hold together with all others of the report and have verdicts. An interval of
    another metric holds alone (95 %) and has no verdict.
    """
    if metric.name == results.plan.primary:
        return compare_with(results, rows, BASE, metric, family_of_report(results))
    alone = replace(ALONE, analyses=analyses_of(results.plan))
    return {
        row: replace(comparison, verdict=None, reason=comparison.reason or "verdicts are for the primary metric")
        for row, comparison in compare_with(results, rows, BASE, metric, alone).items()
    }


def compare_with(
    results: Results, rows: Mapping[str, Summary], reference: str, metric: Metric, family: Family
) -> dict[str, Comparison]:
    """Compare all rows, baselines too, with a trained row; each interval holds together with those of the family.

    Seed noise is pooled over rows that leave the reference at the same stage. For a metric other than the primary one,
    the equivalence margin is 0.
    """
    return _compare(results, rows, _names(rows, reference), reference, metric, family)


def compare_pair(
    results: Results, rows: Mapping[str, Summary], row: str, reference: str, metric: Metric, family: Family
) -> Comparison:
    """Compare any row with any other.

    A pair has one interval, whichever row is named first: where one of the two is base, seed noise is pooled as for
    base, else as for the reference.
    """
    if row == BASE or rows[reference].is_baseline:
        mirrored = _compare(results, rows, _names(rows, row), row, metric, family, swapped=True)
        return mirrored[reference]
    return compare_with(results, rows, reference, metric, family)[row]


def family_of_report(results: Results) -> Family:
    """Return the family of all differences and claims of a report."""
    return Family(comparisons_of_report(results.plan), DIFFERENCE_ERROR_RATE, analyses_of(results.plan))


def analyses_of(plan: PlanFile) -> Analyses | None:
    """Return the interim analyses of a plan; None where there is one analysis, of all seeds."""
    return Analyses(plan.interim.seeds, plan.interim.exponent) if plan.interim else None


def _names(rows: Mapping[str, Summary], reference: str) -> list[str]:
    """Return all rows beside the reference, the trained ones first."""
    others = [row for row in rows.values() if row.row != reference]
    return [row.row for row in sorted(others, key=lambda row: row.is_baseline)]


def _compare(
    results: Results,
    rows: Mapping[str, Summary],
    names: Sequence[str],
    reference: str,
    metric: Metric,
    family: Family,
    swapped: bool = False,
) -> dict[str, Comparison]:
    """Compare the rows `names` with `reference`; `swapped` takes them as reference minus row.

    With interim analyses, each pair is compared over the seeds that both were given, together with the rows that had
    as many: by what was there at the analysis where the first of the two stopped. So a stopped row keeps its interval.
    """
    name, split = split_of(metric.name)
    scores = results.score_arrays.get((split, name), {})
    if family.analyses is None:
        return _compare_over(results, rows, names, reference, metric, family, scores, swapped=swapped)
    counts = {name: _seeds_of_pair(rows[name], rows[reference]) for name in names}
    compared: dict[str, Comparison] = {}
    for count in sorted(set(counts.values())):
        due = {name for name in names if counts[name] == count}
        present = _at_analysis(rows, due | {reference}, results.plan.seeds[:count])
        others = [name for name in names if name in present]
        compared_now = _compare_over(results, present, others, reference, metric, family, scores, swapped=swapped)
        for name in due:
            stops = [side.stopped_at for side in (rows[name], rows[reference]) if side.stopped_at is not None]
            compared[name] = replace(compared_now[name], stopped_at=min(stops, default=None))
    return {name: compared[name] for name in names}


def _seeds_of_pair(row: Summary, reference: Summary) -> int:
    """Return how many seeds both rows were given; a baseline has those of the other row."""
    return min((side.planned for side in (row, reference) if side.planned and not side.is_baseline), default=0)


def _at_analysis(rows: Mapping[str, Summary], due: Collection[str], seeds: Sequence[int]) -> dict[str, Summary]:
    """Return the rows as they were after these seeds: the baselines, the rows `due`, and others with all the seeds."""
    present: dict[str, Summary] = {}
    for name, row in rows.items():
        if row.is_baseline:
            present[name] = row
        elif name in due or row.planned >= len(seeds):
            finished = tuple(record for record in row.finished if record.seed in seeds)
            present[name] = replace(row, finished=finished, planned=min(row.planned, len(seeds)))
    return present


def _compare_over(
    results: Results,
    rows: Mapping[str, Summary],
    names: Sequence[str],
    reference: str,
    metric: Metric,
    family: Family,
    scores: ScoreArrays,
    *,
    swapped: bool,
) -> dict[str, Comparison]:
    """Compare rows over all seeds that they have; see `_compare`."""
    planned = {row.row: row for row in results.plan.rows}
    noise_groups = seed_noise_groups([planned[name] for name in names], planned[reference])
    margin = results.plan.equivalence_margin if metric.name == results.plan.primary else 0.0
    sign = -1.0 if swapped else 1.0
    obstacles = {name: _obstacle(rows[name], rows[reference], scores) for name in names}
    sound = [name for name in names if not obstacles[name]]
    compared: dict[str, Comparison] = {}
    # A row with an obstacle is compared alone: the others are compared over seeds and images that it may lack.
    for group in filter(None, [sound, *([name] for name in names if obstacles[name])]):
        arrays = _score_arrays(rows, group, reference, scores)
        if arrays is None:
            compared |= {name: Comparison(name, reference, None, None, None, obstacles[name]) for name in group}
            continue
        compare_all = partial(
            compare,
            base=reference,
            noise_groups=noise_groups,
            comparisons=family.comparisons,
            error_rate=family.error_rate,
            has_family=reference == BASE and metric.name == results.plan.primary,
            analyses=family.analyses,
        )
        estimates = compare_all({name: sign * array for name, array in arrays.items()})
        gains = estimates
        if metric.direction != "higher":
            gains = compare_all({name: sign * _goodness(array, metric) for name, array in arrays.items()})
        for name in group:
            gain = gains[name]
            reason = obstacles[name] or _lacking_evidence(gain)
            verdict = None if reason else verdict_of(gain.low, gain.high, margin)
            pair = (reference, name) if swapped else (name, reference)
            compared[name] = Comparison(*pair, estimates[name], gain, verdict, reason)
    return {name: compared[name] for name in names}


def _obstacle(row: Summary, reference: Summary, scores: ScoreArrays) -> str:
    """Return why this row cannot have a verdict, whatever its noise; empty where it can."""
    if row.is_baseline:
        return "a baseline has no seeds"
    for side in (row, reference):
        if len(side.finished) < side.planned:
            return f"not all seeds of {side.row} finished"
    if set(row.seeds) != set(reference.seeds):
        return f"its seeds are not those of {reference.row}"
    if len(row.seeds) < 2:
        return "one seed"
    images = {scores.get((side.row, seed), _NO_SCORES).images for side in (row, reference) for seed in side.seeds}
    if len(images) > 1:
        return f"its images are not those of {reference.row}, or were not scored"
    return "fewer than two images" if len(next(iter(images))) < 2 else ""


def _score_arrays(
    rows: Mapping[str, Summary], names: Sequence[str], reference: str, scores: ScoreArrays
) -> dict[str, Floats] | None:
    """Return row -> (seeds, images) over the seeds all finished; None if too few are left or images differ."""
    trained = [rows[name] for name in (reference, *names) if not rows[name].is_baseline]
    seeds = [seed for seed in rows[reference].seeds if all(seed in row.seeds for row in trained)]
    fewest = 2 if len(trained) == 1 + len(names) else FEWEST_SEEDS  # noise of the base alone needs one seed more
    by_seed = {
        name: [scores.get((name, None if rows[name].is_baseline else seed), _NO_SCORES) for seed in seeds]
        for name in (reference, *names)
    }
    image_sets = {scored.images for of_row in by_seed.values() for scored in of_row}
    if len(seeds) < fewest or len(image_sets) != 1 or len(image_sets.pop()) < 2:
        return None
    return {name: np.stack([scored.values for scored in of_row]) for name, of_row in by_seed.items()}


def _goodness(scores: Floats, metric: Metric) -> Floats:
    """Return numbers that are higher the better the score."""
    if metric.direction == "near 1":
        return -np.abs(scores - 1)
    return -scores if metric.direction == "lower" else scores


def _lacking_evidence(gain: Estimate) -> str:
    """Return why the interval is not reliable enough for a verdict; empty where it is."""
    if is_covered(gain.seeds, np.array([gain.pooled]))[0]:
        return ""
    if gain.seeds < FEWEST_SEEDS:
        return f"{gain.seeds} seeds; a verdict needs {FEWEST_SEEDS}"
    return f"too few rows with similar seed noise; with {ENOUGH_SEEDS} seeds none are needed"
