"""The numbers of a report: one `Summary` a row, and differences to the base row.

A row's value of a metric is the mean over its finished seeds of the mean over the test images. A difference pairs equal
seeds, so what a seed does to both rows (same initial weights, same patches) cancels.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from reports import text
from reports.metrics import TEST, Metric, split_of
from reports.results import ImageScores, Results
from reports.schema import GateResult, ModelCost, PlanRow, Record

BASE = "base"
IDENTITY = "identity"
SPLIT = TEST

_MOST_ROWS = 8
"""Rows that `still_to_come` names; the others are counted."""
_WORST_FIRST = ("failed", "inconclusive", "not_measured", "passed")


@dataclass(frozen=True)
class Summary:
    """One planned row."""

    row: str
    tables: tuple[str, ...]
    is_baseline: bool
    planned: int
    """Seeds planned; 1 for a baseline."""
    finished: tuple[Record, ...]
    attempts: tuple[Record, ...]
    """All readable records, the failed and rejected ones too."""
    gates: tuple[GateResult, ...]
    """One a name: the worst result over the seeds, with the median of what was measured."""
    stopped_at: int | None = None
    """Seeds at the interim analysis after which it stopped, resolved; None: it did not stop."""

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The finished seeds."""
        return tuple(record.seed for record in self.finished)

    @property
    def model(self) -> ModelCost | None:
        """What the network costs; None for baselines."""
        return next((record.model for record in self.attempts if record.model), None)

    @property
    def failed_gates(self) -> tuple[GateResult, ...]:
        """The gates whose limit is exceeded."""
        return tuple(gate for gate in self.gates if gate.result == "failed")

    @property
    def seconds_per_seed(self) -> float | None:
        """What one seed took, with gates and evaluation, mean over its records; None where none tells."""
        totals = [record.provenance.get("seconds") for record in self.attempts]
        seconds = [float(total) for total in totals if isinstance(total, int | float)]
        if seconds:
            return fmean(seconds)
        stages = [sum(stage.seconds or 0.0 for stage in record.stages) for record in self.attempts if record.stages]
        return fmean(stages) if stages else None

    def by_seed(self, metric: str) -> dict[int | None, float]:
        """Finished seed -> mean over the test images; `metric` may name another test set (`psnr@photographs`)."""
        name, split = split_of(metric)
        scores = {record.seed: record.scores.get(split, {}).get(name) for record in self.finished}
        return {seed: score.mean for seed, score in scores.items() if score is not None}

    def mean(self, metric: str) -> float | None:
        """Mean over the finished seeds."""
        values = list(self.by_seed(metric).values())
        return fmean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """Highest minus lowest seed; None below two seeds."""
        return spread(list(self.by_seed(metric).values()))


@dataclass(frozen=True)
class Difference:
    """A row against another one in one metric, as the row's value minus the other's."""

    row: str
    by_seed: Mapping[int | None, float]
    gain: float
    """How much better the row is, mean over the seeds, in the metric's unit; negative where it is worse."""
    improved_share: float | None
    """Share of (seed, image) pairs where the row is better; None where the images were not scored."""
    pairs: int
    """Number of (seed, image) pairs in `improved_share`."""

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return fmean(self.by_seed.values())

    @property
    def spread(self) -> float | None:
        """Highest minus lowest seed; None below two seeds."""
        return spread(list(self.by_seed.values()))


def summaries(results: Results) -> dict[str, Summary]:
    """Return the summary of each row by name, in the order of the plan."""
    return {row.row: _summary(row, results) for row in results.plan.rows}


def ranked(rows: Sequence[Summary], metric: Metric) -> list[Summary]:
    """Return the rows that finished, best first; those without the metric at the end."""

    def place(row: Summary) -> tuple[bool, float, str]:
        mean = row.mean(metric.name)
        return mean is None, 0.0 if mean is None else metric.sort_key(mean), row.row

    return sorted([row for row in rows if row.finished], key=place)


def lacking_metric(name: str, rows: Iterable[Summary]) -> str:
    """Return that no row has a metric on its test set, and which they have; empty where a row has it."""
    metric, split = split_of(name)
    present = {metric for row in rows for record in row.finished for metric in record.scores.get(split, {})}
    if metric in present:
        return ""
    return f"no finished row has {metric} on {split}; they have {', '.join(sorted(present)) or 'no scores'}"


def complete(rows: Sequence[Summary]) -> list[Summary]:
    """Return the rows that finished as many seeds as any other, or all up to the interim analysis that resolved them.

    Only they can be compared fairly.
    """
    most = max((len(row.finished) for row in rows), default=0)
    return [row for row in rows if row.finished and len(row.finished) in (most, row.stopped_at)]


def image_scores(results: Results, metric: str) -> ImageScores:
    """Return the scores of one metric, perhaps on a further test set, by row and seed."""
    name, split = split_of(metric)
    return results.image_scores.get((split, name), {})


def difference(row: Summary, reference: Summary, metric: Metric, scores: ImageScores | None) -> Difference | None:
    """Return `row` minus `reference` over the seeds that both finished; None where there are none.

    A baseline has no seeds: its one value is compared with every seed of the other row.

    Args:
        row: The row.
        reference: The row it is compared with.
        metric: What is compared.
        scores: `image_scores` of the metric, for the share of images improved; None leaves that out.
    """
    of_row, of_reference = row.by_seed(metric.name), reference.by_seed(metric.name)
    pairs = seed_pairs(of_row, of_reference)
    if not pairs:
        return None
    gains = [] if scores is None else [gain for _, gain in image_gains(row, reference, metric, scores)]
    return Difference(
        row=row.row,
        by_seed={seed: of_row[own] - of_reference[other] for seed, (own, other) in pairs.items()},
        gain=fmean(metric.gain(of_row[own], of_reference[other]) for own, other in pairs.values()),
        improved_share=fmean(gain > 0 for gain in gains) if gains else None,
        pairs=len(gains),
    )


def spread(values: Sequence[float]) -> float | None:
    """Return the highest minus the lowest value; None below two values."""
    return max(values) - min(values) if len(values) > 1 else None


def latency(row: Summary) -> GateResult | None:
    """Return the latency that was measured on this machine, if any."""
    measured = [gate for gate in row.gates if gate.quantity == "latency" and gate.measured is not None]
    return next((gate for gate in measured if gate.name == "latency_here"), measured[0] if measured else None)


def about_as_good(rows: Iterable[Summary], best: Summary, metric: Metric, margin: float) -> tuple[Summary, ...]:
    """Return the rows whose mean is at most `margin` worse than that of `best`, in their order."""
    top = best.mean(metric.name) or 0.0
    return tuple(row for row in rows if metric.gain(top, row.mean(metric.name) or 0.0) <= margin)


def fastest(rows: Iterable[Summary]) -> tuple[float, Summary] | None:
    """Return the lowest latency in ms and its row, the first of equally fast ones; None where none was measured."""
    timed = [(gate.measured, row) for row in rows if (gate := latency(row)) and gate.measured is not None]
    return min(timed, key=lambda entry: entry[0]) if timed else None


def image_count(results: Results) -> int:
    """Return the number of test images that were scored in any row."""
    return int(results.scores.loc[results.scores["split"] == SPLIT, "image"].nunique())


def _summary(row: PlanRow, results: Results) -> Summary:
    attempts = tuple(record for record in results.records if record.row == row.row)
    return Summary(
        row=row.row,
        tables=tuple(
            dict.fromkeys(
                [
                    *([row.table] if row.table is not None else []),
                    *(table for record in attempts for table in record.tables),
                ]
            )
        ),
        is_baseline=row.kind == "baseline",
        planned=len(row.seeds),
        finished=tuple(record for record in attempts if record.status == "done"),
        attempts=attempts,
        gates=_gates([gate for record in attempts for gate in record.gates]),
        stopped_at=row.stopped_at,
    )


def _gates(gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    return tuple(
        _over_seeds([gate for gate in gates if gate.name == name]) for name in dict.fromkeys(g.name for g in gates)
    )


def _over_seeds(gates: Sequence[GateResult]) -> GateResult:
    """Return one gate for all seeds of a row: the worst result, the median of what was measured."""
    worst = min(gates, key=lambda gate: _WORST_FIRST.index(gate.result))
    measured = [gate.measured for gate in gates if gate.measured is not None]
    intervals = [gate.interval for gate in gates if gate.interval]
    whole = (min(low for low, _ in intervals), max(high for _, high in intervals)) if intervals else None
    return worst.model_copy(update={"measured": median(measured) if measured else None, "interval": whole})


def seed_pairs(
    row: Mapping[int | None, float], reference: Mapping[int | None, float]
) -> dict[int | None, tuple[int | None, int | None]]:
    """Return seed shown -> (seed of the row, seed of the reference)."""
    if None in row:
        return {seed: (None, seed) for seed in reference}
    if None in reference:
        return {seed: (seed, None) for seed in row}
    return {seed: (seed, seed) for seed in row if seed in reference}


def image_gains(row: Summary, reference: Summary, metric: Metric, scores: ImageScores) -> Iterator[tuple[str, float]]:
    """Yield image and gain of every image that both have, for every pair of seeds (of the row, of the reference)."""
    for own, other in seed_pairs(row.by_seed(metric.name), reference.by_seed(metric.name)).values():
        before = scores.get((reference.row, other), {})
        for image, value in scores.get((row.row, own), {}).items():
            if image in before:
                yield image, metric.gain(value, before[image])


def still_to_come(results: Results) -> str:
    """Return `12 of 30 records are there; still to come: base (seed 1), ...`; empty where none is missing."""
    if not results.missing:
        return ""
    by_row: dict[str, list[str]] = {}
    for problem in results.missing:
        by_row.setdefault(problem.row, []).extend([] if problem.seed is None else [str(problem.seed)])
    rows = [
        text.printable(row) + (f" ({'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)})" if seeds else "")
        for row, seeds in by_row.items()
    ]
    more = [text.count(len(rows) - _MOST_ROWS, "more row")] if len(rows) > _MOST_ROWS else []
    there = results.planned - len(results.missing)
    named = text.listing([*rows[:_MOST_ROWS], *more])
    return f"{there} of {text.count(results.planned, 'record')} are there; still to come: {named}."
