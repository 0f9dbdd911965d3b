"""A budget of time: which rows it is spent on first, and when to start no further one.

The base row comes first, because every verdict needs it. The others come by what they settle an hour: the chance that a
row is resolved once it has the seeds it lacks, over the time that these take. Without records a chance counts as one
half, so that cheap rows come first.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmark.experiment.load import BASE
from benchmark.experiment.plan import PlannedRow
from benchmark.runner.events import Event, RowFinished
from reports.claims.evaluate_claims import ends_of
from reports.claims.evidence import Gain, gain_of
from reports.errors import ReportError
from reports.results import Results
from reports.results.load import load
from reports.results.summary import Summary, summaries
from reports.statistics.chance import chance_of_claim, chance_of_verdict
from reports.statistics.family import claim_pairs
from reports.statistics.verdicts import compare_with_base, family_of_report

_UNKNOWN = 0.5


@dataclass(frozen=True)
class RowWork:
    """The seeds that a row lacks, what they take, and what they are expected to settle."""

    row: str
    seeds: tuple[PlannedRow, ...]
    seconds_per_seed: float
    chance: float | None
    """That the row is resolved once it has them, 0 to 1; None: there are no records to tell from."""

    @property
    def seconds(self) -> float:
        """What all of its seeds take, one after the other."""
        return len(self.seeds) * self.seconds_per_seed

    @property
    def chance_per_hour(self) -> float:
        """What it is expected to settle an hour."""
        return (_UNKNOWN if self.chance is None else self.chance) / max(self.seconds, 1e-9) * 3600


def work_of(todo: Sequence[PlannedRow], output: Path, stage_seconds: Mapping[str, float]) -> list[RowWork]:
    """Return the work of rows in the order in which a budget is spent.

    Args:
        todo: Rows and seeds to be run.
        output: Folder of the run; its plan has them.
        stage_seconds: What stages take that are to be trained, by key.
    """
    by_row: dict[str, list[PlannedRow]] = {}
    for planned in todo:
        by_row.setdefault(planned.row, []).append(planned)
    rows, chances = dict[str, Summary](), dict[str, float]()
    with suppress(ReportError):  # there is no plan yet
        results = load(output)
        rows = summaries(results)
        if results.finished:
            counts = {name: len(rows[name].finished) + len(seeds) for name, seeds in by_row.items() if name in rows}
            chances = _chances(results, rows, counts)
    work = [
        RowWork(name, tuple(seeds), _seconds(seeds, rows.get(name), stage_seconds), chances.get(name))
        for name, seeds in by_row.items()
    ]
    return sorted(work, key=lambda item: (item.row != BASE, -item.chance_per_hour))


class BudgetedRows:
    """Hands out rows as long as they are expected to end within a budget; what has started is run to its end."""

    def __init__(self, work: Sequence[RowWork], ends_at: float) -> None:
        """Begin with all rows. `ends_at`: by `time.monotonic`."""
        self.waiting = [seed for item in work for seed in item.seeds]
        self._seconds = {item.row: item.seconds_per_seed for item in work}
        self._ends_at = ends_at

    def __call__(self) -> Sequence[PlannedRow]:
        """Return the next row that fits into the time that is left; none where none does."""
        left = self._ends_at - time.monotonic()
        row = next((row for row in self.waiting if self._seconds[row.row] <= left), None)
        if row is None:
            return ()
        self.waiting.remove(row)
        return (row,)

    def note(self, event: Event) -> None:
        """Take the time of a row that has finished for that of its further seeds."""
        if isinstance(event, RowFinished) and event.record.status == "done" and event.record.row in self._seconds:
            self._seconds[event.record.row] = float(event.record.provenance.get("seconds", 0.0))


def _seconds(seeds: Sequence[PlannedRow], row: Summary | None, stage_seconds: Mapping[str, float]) -> float:
    """Return what a seed took by the records of the row, or else takes by the estimate of its stages."""
    measured = row.seconds_per_seed if row else None
    return sum(stage_seconds.get(stage.key, 0.0) for stage in seeds[0].stages) if measured is None else measured


def _chances(results: Results, rows: Mapping[str, Summary], seeds: Mapping[str, int]) -> dict[str, float]:
    """Return the chance that each row is resolved with so many seeds; rows without an interval yet are left out."""
    metric = results.metric(results.plan.primary)
    margin = results.plan.equivalence_margin
    chances = {
        name: chance_of_verdict(comparison.gain.difference, comparison.gain.precision, seeds[name], margin)
        for name, comparison in (compare_with_base(results, rows, metric) if BASE in rows else {}).items()
        if comparison.gain and name in seeds
    }
    family = family_of_report(results)
    for claim in results.plan.claims:  # a row is resolved when the last of its claims is
        for row, rival, name in claim_pairs(claim, results.plan):
            gain = gain_of(results, rows, family, row, rival, results.metric(name))
            for side in (row, rival):
                if side in chances and isinstance(gain, Gain):
                    ends = ends_of(claim, results.plan)
                    chance = chance_of_claim(gain.mean, gain.precision, seeds[side], ends)
                    chances[side] = min(chances[side], chance)
    return chances
