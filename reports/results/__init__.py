"""What a run left on disk, as values: `load` reads it, `summary` makes one `Summary` a row, `combine` joins runs."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reports.metrics import Metric, metric, own_metric, split_of
from reports.schema import MetricFacts, PlanFile, Record, TuningFile

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and planning imports this module

MISSING = "missing"
"""The kind of problem of a row and seed that has left no record."""
DAMAGED = "damaged"
"""The kind of problem of a row and seed with a damaged file; the reason begins with the file's name."""


ImageScores = Mapping[tuple[str, int | None], Mapping[str, float]]
"""(row, seed) -> image -> value."""


@dataclass(frozen=True)
class Problem:
    """A row and seed without a result, and why."""

    row: str
    seed: int | None
    kind: str
    """`failed`, `rejected`, `missing`, `damaged` or `not of this plan`"""
    reason: str


@dataclass(frozen=True, eq=False)
class Results:
    """Everything a report is made from."""

    folder: Path
    plan: PlanFile
    records: tuple[Record, ...]
    """All readable records of the plan, whatever their status, in the plan's order."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What is wrong with files beside the records (a cut scores.csv, ...)."""
    scores: "pd.DataFrame"
    """Finished rows only: row, seed (Int64, <NA> for baselines), split, image, metric, value."""
    curves: "pd.DataFrame"
    """row, seed, stage, step, name, value; of the names, only `loss` is kept."""
    experiment_yaml: str
    """The text of the resolved experiment; empty where there is none."""
    tuning: TuningFile | None = None
    """What tuning found before the run; None where there was none."""
    unchecked: int = 0
    """Finished records of an earlier version, which cannot tell whether the files beside them are damaged."""

    @property
    def planned(self) -> int:
        """How many records the plan asks for."""
        return sum(len(row.seeds) for row in self.plan.rows)

    @property
    def missing(self) -> tuple[Problem, ...]:
        """Rows and seeds of the plan that have left no record at all; failed and rejected ones have."""
        return tuple(problem for problem in self.problems if problem.kind == MISSING)

    @property
    def damage(self) -> tuple[str, ...]:
        """A line for each damaged file: where it is, and what is wrong with it."""
        damaged = (problem for problem in self.problems if problem.kind == DAMAGED)
        files = (f"{self.folder}/{row_folder(problem.row, problem.seed)}/{problem.reason}" for problem in damaged)
        return (*files, *(f"{self.folder}: {note}" for note in self.notes))

    def metric(self, name: str) -> Metric:
        """Return the facts of a metric: those in a record, or those of the metrics of every row."""
        return find_metric(name, self.records)

    @cached_property
    def image_scores(self) -> Mapping[tuple[str, str], ImageScores]:
        """Test set and metric -> scores of each row, seed and image; a report asks for them some fifty times."""
        from pandas import NA

        scores: dict[tuple[str, str], dict[tuple[str, int | None], dict[str, float]]] = {}
        names = ("split", "metric", "row", "seed", "image", "value")
        for split, name, row, seed, image, value in zip(*(self.scores[n].tolist() for n in names), strict=True):
            of_metric = scores.setdefault((split, name), {})
            of_metric.setdefault((row, None if seed is NA else int(seed)), {})[image] = value
        return scores

    @cached_property
    def curves_by_row(self) -> "Mapping[str, pd.DataFrame]":
        """Row -> its lines of `curves`."""
        return {str(row): lines for row, lines in self.curves.groupby("row", sort=False)}

    @property
    def finished(self) -> tuple[Record, ...]:
        """The records whose status is `done`."""
        return tuple(record for record in self.records if record.status == "done")


def row_folder(row: str, seed: int | None) -> str:
    """Return the folder of a row and seed inside its run."""
    return row if seed is None else f"{row}/seed{seed}"


def find_metric(name: str, records: Iterable[Record]) -> Metric:
    """Return the facts of a metric: those in a record, or those of the metrics of every row."""
    bare, test_set = split_of(name)
    facts = next((record.metrics[bare] for record in records if bare in record.metrics), None)
    if facts is None:
        return metric(name)
    own = metric_of(bare, facts)
    return own if bare == name else replace(own, name=name, label=f"{bare} on {test_set}")


def metric_of(name: str, facts: MetricFacts) -> Metric:
    """Return a metric that brings its own facts."""
    return own_metric(name, facts.unit, facts.direction, facts.meaning, facts.decimals)
