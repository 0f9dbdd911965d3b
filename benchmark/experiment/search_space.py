"""The spaces of `search` and `tuning`: which settings are tried, and which values they may take."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.experiment.document import Document, KeyPath, override_all, value_at
from benchmark.experiment.pruner_settings import NoPruner, Pruner
from benchmark.experiment.resolve import Recipe
from benchmark.experiment.search_settings import Confirm, Sampler
from reports.metrics import Metric

SECTION: KeyPath = ("search", "parameters")
_COMPONENT_KEYS = ("name", "source")


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
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]], repr=False)
    """It is asked only where each of these parameters has one of these choices; empty: always."""
    branch: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Values of other parameters with which it is asked; none if it is asked in the base row."""

    def is_asked(self, values: Mapping[str, Any]) -> bool:
        """Return whether a trial with these values, by path, has this parameter."""
        return all(path in values and values[path] in choices for path, choices in self.when.items())

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
    """Each one after those that its condition names."""
    confirm: Confirm | None = None
    """How the best trials are confirmed; None: they are not."""
    pruner: Pruner = field(default_factory=NoPruner)
    """What ends trials before their last step."""
    objectives: tuple[Metric, ...] = ()
    """What is optimised where there are several, `metric` among them; none: `metric` alone."""

    @property
    def has_branches(self) -> bool:
        """Whether some parameters are asked only where others have certain values."""
        return any(parameter.when for parameter in self.parameters)

    @property
    def size(self) -> float:
        """Number of different settings; infinite where a parameter may be any number of a range."""
        branching = {path for parameter in self.parameters for path in parameter.when}
        sizes = [
            math.prod(
                parameter.count
                for parameter in self.parameters
                if parameter.path not in branching and parameter.is_asked(values)
            )
            for values in branches([parameter for parameter in self.parameters if parameter.path in branching])
        ]
        return sum(sizes)

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


def branches(parameters: Sequence[Parameter], begun: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yield each combination of choices of these parameters, by path; each has those alone that are asked in it.

    Args:
        parameters: Parameters with choices, each one after those that its condition names.
        begun: Values of parameters before them.
    """
    values = dict(begun or {})
    if not parameters:
        yield values
        return
    first, *others = parameters
    if not first.is_asked(values):
        yield from branches(others, values)
        return
    for choice in first.extremes:
        yield from branches(others, {**values, first.path: choice})


def values_of_base(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the values of the base row by path, of those that are asked in it."""
    values: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.is_asked(values):
            values[parameter.path] = parameter.base
    return values


def with_values(document: Document, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> Document:
    """Return the document with these values by path; one that the base row has at this place stays as it is written.

    A component comes before its options, which another component would drop.
    """
    base = {parameter.path: parameter.base for parameter in parameters}
    changed = document
    for path in sorted(values, key=_levels):
        places = path.split(".")
        components = [(*places[:length], key) for length in range(len(places)) for key in _COMPONENT_KEYS]
        is_as_written = all(value_at(changed.data, at) == value_at(document.data, at) for at in (*components, places))
        is_left_away = values[path] is None and value_at(changed.data, places) is None
        if not is_left_away and (values[path] != base[path] or not is_as_written):
            changed = override_all(changed, SECTION, {path: values[path]})
    return changed


def _levels(path: str) -> tuple[int, bool]:
    """Return what paths are sorted by: those above first, and the name of a component before its options."""
    parts = path.split(".")
    return len(parts), parts[-1] not in _COMPONENT_KEYS
