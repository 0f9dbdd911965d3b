"""What a run left on disk, as values: `load` reads it, `summary` makes one `Summary` a row, `combine` joins runs."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class ScoreArray(NamedTuple):
    """The scores of one row and seed in one metric."""

    images: frozenset[str]
    values: NDArray[np.float64]
    """In the order of the sorted names of the images."""


ScoreArrays = Mapping[tuple[str, int | None], ScoreArray]


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
        groups = self.scores.groupby(["split", "metric", "row", "seed"], sort=False, dropna=False)
        numbers = groups.ngroup().to_numpy()
        order = numbers.argsort(kind="stable")  # group by group, and in each as in the tables
        images, values = (self.scores[name].to_numpy()[order].tolist() for name in ("image", "value"))
        starts = [] if not len(order) else [0, *(numbers[order][1:] != numbers[order][:-1]).nonzero()[0] + 1]
        firsts = self.scores.iloc[order[starts]] if starts else self.scores.iloc[:0]
        keys = zip(*(firsts[name].tolist() for name in ("split", "metric", "row", "seed")), strict=True)
        for (split, name, row, seed), start, end in zip(keys, starts, [*starts[1:], len(order)], strict=False):
            of_row = dict(zip(images[start:end], values[start:end], strict=True))
            scores.setdefault((split, name), {})[row, None if seed is NA else int(seed)] = of_row
        return scores

    @cached_property
    def score_arrays(self) -> Mapping[tuple[str, str], ScoreArrays]:
        """The `image_scores` as arrays; equal sets of images are one object, so that they compare quickly."""
        orders: dict[frozenset[str], tuple[frozenset[str], list[str]]] = {}
        arrays: dict[tuple[str, str], dict[tuple[str, int | None], ScoreArray]] = {}
        for key, of_metric in self.image_scores.items():
            arrays[key] = {}
            for record, scores in of_metric.items():
                names = frozenset(scores)
                images, order = orders.setdefault(names, (names, sorted(names)))
                arrays[key][record] = ScoreArray(images, np.array([scores[image] for image in order]))
        return arrays

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
