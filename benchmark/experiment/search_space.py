"""The sections `search` and `tuning`: which settings are tried, and which values they may take."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import permutations
from typing import Any, NoReturn

from benchmark.errors import ExperimentError
from benchmark.experiment.adaptive_seeds import all_seeds
from benchmark.experiment.document import Document, KeyPath, override, override_all, value_at
from benchmark.experiment.pruner_settings import NoPruner, Pruner, SuccessiveHalving
from benchmark.experiment.resolve import Recipe, resolve
from benchmark.experiment.schema import ExperimentFile, TuningSettings
from benchmark.experiment.search_settings import Confirm, Sampler, SearchParameter, SearchSettings
from benchmark.registry import Registry
from reports.metrics import COSTS, IMAGE_METRICS, Metric, own_metric

_SECTION: KeyPath = ("search", "parameters")
SEARCHABLE_SECTIONS = ("model", "protocol")
"""Sections that a search may vary: trials with other data or gates could not be compared."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included. `is_whole`: integers."""

    low: float
    high: float
    log: bool
    step: float | None
    is_whole: bool


@dataclass(frozen=True)
class Choices:
    """Plain data of any form; None removes the setting."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Parameter:
    """A setting that a search varies."""

    path: str
    base: Any
    """The value in the base row, which the domain contains; None if the base row does not set it."""
    domain: Range | Choices

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Both ends of a range, or all choices."""
        if isinstance(self.domain, Choices):
            return self.domain.values
        number = int if self.domain.is_whole else float
        return number(self.domain.low), number(self.domain.high)

    @property
    def count(self) -> float:
        """Number of different values; infinite for real numbers without a step."""
        if isinstance(self.domain, Choices):
            return len(self.domain.values)
        step = self.domain.step or (1.0 if self.domain.is_whole else 0.0)
        return round((self.domain.high - self.domain.low) / step) + 1 if step else math.inf


@dataclass(frozen=True)
class Search:
    """What a search varies. All trials train with `seed`."""

    metric: Metric
    trials: int
    sampler: Sampler
    seed: int
    parameters: tuple[Parameter, ...]
    confirm: Confirm | None = None
    """How the best trials are confirmed; None: they are not."""
    pruner: Pruner = field(default_factory=NoPruner)
    """What ends trials before their last step."""
    objectives: tuple[Metric, ...] = ()
    """What is optimised where there are several, `metric` among them; none: `metric` alone."""

    @property
    def numbers(self) -> tuple[Parameter, ...]:
        """The parameters that are ranges of numbers."""
        return tuple(parameter for parameter in self.parameters if isinstance(parameter.domain, Range))

    @property
    def varies_network(self) -> bool:
        """Whether trials may have other networks, so that gates may pass in one and fail in another."""
        return any(parameter.path.partition(".")[0] == "model" for parameter in self.parameters)


@dataclass(frozen=True)
class Tuning:
    """Recipes that each row may run with: a table of networks says something only if each has a rate that suits it.

    The candidates are trained with `seed` and compared by their `metric` on val after the last stage.
    """

    metric: Metric
    seed: int
    candidates: Mapping[str, Mapping[str, Recipe]]
    """By row, then by the name of the candidate, in the order of the file."""


def read_search(document: Document, file: ExperimentFile, base: Recipe, registry: Registry) -> Search | None:
    """Return the section `search` of an experiment; None if it has none.

    Raises:
        ExperimentError: a parameter is unknown, or its values do not fit the base row.
    """
    section = file.search
    if section is None:
        return None
    reader = _Reader(document, base, registry)
    for inner, outer in permutations(section.parameters, 2):
        if inner.startswith(f"{outer}."):
            reader.fail(inner, f"is a part of {outer}, which is searched as a whole; keep one of them")
    metric, seed = _metric_and_seed(section, file, registry)
    objectives = tuple(_metric(name, registry) for name in section.objectives or ())
    if objectives:
        metric = next((objective for objective in objectives if objective.name not in COSTS), metric)
    pruner = section.pruner or (NoPruner() if objectives or metric.direction == "near 1" else SuccessiveHalving())
    parameters = tuple(reader.parameter(path, spec) for path, spec in section.parameters.items())
    return Search(metric, section.trials, section.sampler, seed, parameters, section.confirm, pruner, objectives)


def read_tuning(document: Document, file: ExperimentFile, rows: Sequence[str], registry: Registry) -> Tuning | None:
    """Return the section `tuning` of an experiment; None if it has none. `rows`: names of all rows.

    Raises:
        ExperimentError: a pattern matches no row, or a candidate makes no valid row.
    """
    section = file.tuning
    if section is None:
        return None
    for pattern in section.rows:
        if not any(fnmatchcase(row, pattern) for row in rows):
            place = document.place(("tuning", "rows"))
            raise ExperimentError(f"{place}: tuning.rows: {pattern!r} fits no row; rows are {', '.join(rows)}")
    candidates: dict[str, dict[str, Recipe]] = {}
    for row in (row for row in rows if any(fnmatchcase(row, pattern) for pattern in section.rows)):
        table, _, name = row.partition(".")
        written = (
            override_all(document, ("tables", table, name), document.data["tables"][table][name]) if name else document
        )
        candidates[row] = {
            candidate: resolve(override_all(written, ("tuning", "candidates", candidate), overrides), registry)
            for candidate, overrides in section.candidates.items()
        }
    return Tuning(*_metric_and_seed(section, file, registry), candidates)


def _metric_and_seed(
    section: SearchSettings | TuningSettings, file: ExperimentFile, registry: Registry
) -> tuple[Metric, int]:
    """Return the metric that a section compares by, built in or of a plugin, and the seed that it trains with."""
    seed = all_seeds(file.seeds)[0] if section.seed is None else section.seed
    return _metric(section.metric or file.report.primary, registry), seed


def _metric(name: str, registry: Registry) -> Metric:
    """Return the facts of a metric, built in or of a plugin, or of a cost."""
    if name in IMAGE_METRICS or name in COSTS:
        return {**IMAGE_METRICS, **COSTS}[name]
    own = registry.find("metric", name)
    return own_metric(name, own.unit, own.direction, own.formula, own.decimals)


def with_values(document: Document, search: Search, values: Mapping[str, Any]) -> Document:
    """Return the document with these values by path; a value equal to that of the base row stays as it is written."""
    base = {parameter.path: parameter.base for parameter in search.parameters}
    changes = {path: value for path, value in values.items() if value != base[path]}
    return override_all(document, _SECTION, changes)


@dataclass(frozen=True)
class _Reader:
    document: Document
    base: Recipe
    registry: Registry

    def parameter(self, path: str, spec: SearchParameter) -> Parameter:
        if path.partition(".")[0] not in SEARCHABLE_SECTIONS:
            self.fail(path, f"a search may vary settings below {' and '.join(SEARCHABLE_SECTIONS)} only")
        example = spec.low if spec.choices is None else next(value for value in spec.choices if value is not None)
        self._override(path, example)  # raises where the path does not exist
        base = self._base_value(path.split("."))
        parameter = Parameter(path, base, self._domain(path, spec, base))
        rows: dict[str, Any] = {}
        for value in parameter.extremes:
            recipe = self.base if value == base else resolve(self._override(path, value), self.registry)
            if value != base and recipe.config == self.base.config:
                self.fail(path, f"{_shown(value)} changes nothing against the base row")
            if (other := rows.setdefault(json.dumps(recipe.config), value)) is not value:
                self.fail(path, f"{_shown(other)} and {_shown(value)} make the same row; keep one of them")
        return parameter

    def _override(self, path: str, value: Any) -> Document:
        return override(self.document, path, Document(value, {(): self.document.place((*_SECTION, path))}))

    def _base_value(self, parts: Sequence[str]) -> Any:
        """Return the value in the base row: as written, with defaults filled in."""
        written, resolved = value_at(self.document.data, parts), value_at(self.base.config, parts)
        if isinstance(written, dict | list) or resolved is None:
            return written
        if isinstance(resolved, dict) and written is not None:  # a number that stands for the weight of a loss
            return resolved.get("weight", written)
        return resolved

    def _domain(self, path: str, spec: SearchParameter, base: Any) -> Range | Choices:
        if spec.choices is not None:
            if len({json.dumps(value) for value in spec.choices}) < len(spec.choices):
                self.fail(path, "a choice is given twice")
            if base not in spec.choices:
                self.fail(path, f"the base row, which is the first trial, has {_shown(base)}; add it to the choices")
            return Choices(tuple(spec.choices))
        if not isinstance(base, int | float) or isinstance(base, bool):
            self.fail(path, f"is {_shown(base)} in the base row, no number to vary; give choices, or name a number")
        assert spec.low is not None and spec.high is not None  # the schema has checked it
        is_whole = isinstance(base, int)
        step = spec.step or (1.0 if is_whole and not spec.log else None)
        if is_whole and not all(float(number).is_integer() for number in (spec.low, spec.high, step or 1.0)):
            self.fail(path, "takes whole numbers; give low, high and step as such")
        if not spec.low <= base <= spec.high:
            self.fail(path, f"the base row, which is the first trial, has {_shown(base)}; widen the range")
        if step and not all(_is_multiple(end - spec.low, step) for end in (base, spec.high)):
            self.fail(path, f"high and the {_shown(base)} of the base row must be whole steps above low")
        return Range(spec.low, spec.high, spec.log, step, is_whole)

    def fail(self, path: str, message: str) -> NoReturn:
        place = self.document.place((*_SECTION, path))
        raise ExperimentError(f"{place}: search.parameters: {path}: {message}")


def _is_multiple(distance: float, step: float) -> bool:
    return abs(distance / step - round(distance / step)) < 1e-6


def _shown(value: Any) -> str:
    return "no value" if value is None else json.dumps(value)
