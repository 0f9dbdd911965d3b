"""Rows that are first trained with each of some candidates, such as learning rates, and run with the best on val.

A rival with a bad learning rate is no rival: a table of networks says something only if each has a rate that suits it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from benchmark.errors import ExperimentError
from benchmark.experiment.document import Document
from benchmark.experiment.overrides import override_all
from benchmark.experiment.resolve import Resolved, resolve
from benchmark.experiment.schema import ExperimentFile
from benchmark.registry import Registry


@dataclass(frozen=True)
class Tuning:
    """`candidates`: by row, the resolved configurations it may run with, by name, in the order of the file.

    They are trained with `seed` and compared by what they reach in `metric` on val after the last stage.
    """

    metric: str
    seed: int
    candidates: Mapping[str, Mapping[str, Resolved]]


def read_tuning(document: Document, checked: ExperimentFile, rows: Sequence[str], registry: Registry) -> Tuning | None:
    """What the file says of tuning. `rows`: names of all rows, the base first. Raises ExperimentError."""
    settings = checked.tuning
    if settings is None:
        return None
    chosen = [row for row in rows if any(fnmatchcase(row, pattern) for pattern in settings.rows)]
    for pattern in settings.rows:
        if not any(fnmatchcase(row, pattern) for row in rows):
            place = document.place(("tuning", "rows"))
            raise ExperimentError(f"{place}: tuning.rows: {pattern!r} fits no row; rows are {', '.join(rows)}")
    seed = checked.seeds[0] if settings.seed is None else settings.seed
    candidates = {row: _candidates(document, row, settings.candidates, registry) for row in chosen}
    return Tuning(settings.metric or checked.report.primary, seed, candidates)


def _candidates(
    document: Document, row: str, candidates: Mapping[str, Mapping[str, Any]], registry: Registry
) -> dict[str, Resolved]:
    table, _, name = row.partition(".")
    path = ("tables", table, name)
    own = override_all(document, path, document.data["tables"][table][name]) if name else document
    return {
        candidate: resolve(override_all(own, ("tuning", "candidates", candidate), overrides), registry)
        for candidate, overrides in candidates.items()
    }
