"""Verdicts on rows: interval and word of a row against the base, or the reason why there is no word."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, Summary, image_scores
from reports.statistics.intervals import ENOUGH_SEEDS, FEWEST_SEEDS, Estimate, Word, compare, is_covered, word
from reports.statistics.seed_noise import Floats
from reports.statistics.seed_noise_groups import branches

MEANINGS: dict[Word, str] = {
    "gain": "surely better",
    "loss": "surely worse",
    "equivalent": "any difference is smaller than what matters",
    "no gain": "a gain that matters is excluded, a loss is not",
    "negligible gain": "surely better, and surely by less than what matters",
    "negligible loss": "surely worse, and surely by less than what matters",
    "inconclusive": "this run cannot tell",
}
"""What each word says, for readers."""

Scored = Mapping[tuple[str, int | None], Mapping[str, float]]
"""(row, seed) -> image -> value."""


@dataclass(frozen=True)
class Verdict:
    """A row against a reference; `word` is None exactly where `reason` says why."""

    row: str
    reference: str
    estimate: Estimate | None
    """Row minus reference, in the metric's unit."""
    gain: Estimate | None
    """The same with better counted as positive; for a metric that is best near 1, how much nearer the row comes."""
    word: Word | None
    reason: str


def verdicts(results: Results, rows: Mapping[str, Summary], table: str, metric: Metric) -> dict[str, Verdict]:
    """The rows of one table, and the floor rows, against base.

    The intervals of the experiment's primary metric hold together over the table (95 %) and carry words. Those of any
    other metric hold each for itself and carry none.
    """
    members = [row.row for row in rows.values() if table in row.tables and not row.is_baseline and row.row != BASE]
    floors = [row.row for row in rows.values() if row.is_baseline]
    is_primary = metric.name == results.plan.primary
    found = _against(results, rows, [*members, *floors], BASE, metric, len(members) if is_primary else 1)
    return found if is_primary else {row: _without_word(one) for row, one in found.items()}


def contrast(
    results: Results, rows: Mapping[str, Summary], row: str, reference: str, metric: Metric, comparisons: int
) -> Verdict:
    """Any row against any other; the interval holds together with so many others.

    Where one of the two is base, seed noise is pooled as in the table of the other, else the pair stands alone. For
    another metric than the primary one, the margin is 0.
    """
    if row == BASE or rows[reference].is_baseline:
        others = _members(rows, reference) if row == BASE else [reference]
        return _against(results, rows, others, row, metric, comparisons, swapped=True)[reference]
    members = _members(rows, row) if reference == BASE else [row]
    return _against(results, rows, members, reference, metric, comparisons)[row]


def _members(rows: Mapping[str, Summary], row: str) -> list[str]:
    """The row, and the trained rows of its first table."""
    table = rows[row].tables[:1]
    return [name for name, one in rows.items() if name == row or (one.tables[:1] == table != () and name != BASE)]


def _against(
    results: Results,
    rows: Mapping[str, Summary],
    names: Sequence[str],
    reference: str,
    metric: Metric,
    comparisons: int,
    swapped: bool = False,
) -> dict[str, Verdict]:
    """Verdicts on the rows called `names`; `swapped` takes them as reference minus row."""
    scored = _scored(results, metric)
    places = _branches(results, names, reference)
    reasons = {name: _obstacle(rows[name], rows[reference], scored) for name in names}
    sound = [name for name in names if not reasons[name]]
    groups = [sound, *([name] for name in names if reasons[name])]
    found: dict[str, Verdict] = {}
    for group in groups:
        arrays = _arrays(rows, group, reference, scored)
        if not group or arrays is None:
            found |= {name: Verdict(name, reference, None, None, None, reasons[name]) for name in group}
            continue
        sign = -1.0 if swapped else 1.0
        margin = results.plan.equivalence_margin if metric.name == results.plan.primary else 0.0
        estimates, gains = (
            compare(values, reference, branches=places, margin=margin, comparisons=comparisons)
            for values in (_times(arrays, sign), _times(_goodness(arrays, metric), sign))
        )
        for name in group:
            reason = reasons[name] or _uncovered(gains[name])
            said = None if reason else word(gains[name].low, gains[name].high, margin)
            pair = (reference, name) if swapped else (name, reference)
            found[name] = Verdict(*pair, estimates[name], gains[name], said, reason)
    return {name: found[name] for name in names}


def _without_word(verdict: Verdict) -> Verdict:
    reason = verdict.reason or "words are for the primary metric"
    return Verdict(verdict.row, verdict.reference, verdict.estimate, verdict.gain, None, reason)


def _scored(results: Results, metric: Metric) -> Scored:
    scores = image_scores(results, metric.name)
    seeds = [
        None if seed is None else int(seed)
        for seed in scores["seed"].astype(object).where(scores["seed"].notna(), None)
    ]
    found: dict[tuple[str, int | None], dict[str, float]] = {}
    for row, seed, image, value in zip(scores["row"], seeds, scores["image"], scores["value"], strict=True):
        found.setdefault((row, seed), {})[image] = value
    return found


def _branches(results: Results, names: Sequence[str], reference: str) -> dict[str, str]:
    planned = {row.row: row for row in results.plan.rows}
    return branches([planned[name] for name in names], planned[reference])


def _obstacle(row: Summary, reference: Summary, scored: Scored) -> str:
    """Why this row cannot have a word, before any noise is looked at; empty where it may."""
    if row.is_baseline:
        return "needs no training, so it has no seeds"
    for one in (row, reference):
        if len(one.finished) < one.planned:
            return f"not all seeds of {one.row} finished"
    if set(row.seeds) != set(reference.seeds):
        return f"other seeds than {reference.row}"
    if len(row.seeds) < 2:
        return "one seed"
    images = {frozenset(scored.get((one.row, seed), {})) for one in (row, reference) for seed in one.seeds}
    if len(images) > 1:
        return f"other images than {reference.row}, or not scored"
    return "fewer than two images" if len(next(iter(images))) < 2 else ""


def _arrays(
    rows: Mapping[str, Summary], names: Sequence[str], reference: str, scored: Scored
) -> dict[str, Floats] | None:
    """Row -> (seeds, images), over the seeds that all finished; None where too few are left, or images differ."""
    trained = [rows[name] for name in (reference, *names) if not rows[name].is_baseline]
    seeds = [seed for seed in rows[reference].seeds if all(seed in one.seeds for one in trained)]
    fewest = 2 if len(trained) == 1 + len(names) else FEWEST_SEEDS  # noise of the base alone wants a seed more
    cells = {
        name: [scored.get((name, None if rows[name].is_baseline else seed), {}) for seed in seeds]
        for name in (reference, *names)
    }
    images = {frozenset(cell) for of_row in cells.values() for cell in of_row}
    if len(seeds) < fewest or len(images) != 1:
        return None
    order = sorted(images.pop())
    if len(order) < 2:
        return None
    return {name: np.array([[cell[image] for image in order] for cell in of_row]) for name, of_row in cells.items()}


def _goodness(arrays: Mapping[str, Floats], metric: Metric) -> dict[str, Floats]:
    """The scores as numbers that are higher the better the value."""
    if metric.direction == "near 1":
        return {name: -np.abs(values - 1) for name, values in arrays.items()}
    return _times(arrays, -1.0 if metric.direction == "lower" else 1.0)


def _times(arrays: Mapping[str, Floats], sign: float) -> dict[str, Floats]:
    return {name: sign * values for name, values in arrays.items()}


def _uncovered(found: Estimate) -> str:
    """Why the interval is not sure enough for a word; empty where it is."""
    if is_covered(found.seeds, np.array([found.pooled]))[0]:
        return ""
    if found.seeds < FEWEST_SEEDS:
        return f"{found.seeds} seeds; words need {FEWEST_SEEDS}"
    return f"too few rows with like seed noise; with {ENOUGH_SEEDS} seeds it needs none"
