"""The `search` section, checked against the base row: which settings a search varies, and between which values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.errors import ExperimentError
from benchmark.experiment.document import Document, Path_
from benchmark.experiment.overrides import override, override_all
from benchmark.experiment.resolve import Resolved, resolve
from benchmark.experiment.schema import ExperimentFile, SearchParameter
from benchmark.registry import Registry

_SECTION: Path_ = ("search", "parameters")
_ROOMS = ("model", "protocol")
"""What a search may vary: other data or gates would make trials that cannot be compared."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `is_whole`: integers."""

    low: float
    high: float
    log: bool
    step: float | None
    is_whole: bool


@dataclass(frozen=True)
class Choices:
    """Plain data of any form; None takes the setting away."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Parameter:
    """A setting that a search varies. `base`: its value in the base row, which the domain holds; None if not set."""

    path: str
    base: Any
    domain: Range | Choices

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Both ends of a range, or all choices."""
        match self.domain:
            case Choices(values=values):
                return values
            case Range(is_whole=True) as numbers:
                return int(numbers.low), int(numbers.high)
            case Range() as numbers:
                return numbers.low, numbers.high


@dataclass(frozen=True)
class Search:
    """`seed`: the one all trials train with."""

    metric: str
    trials: int
    sampler: Literal["tpe", "random"]
    seed: int
    parameters: tuple[Parameter, ...]


def read_search(document: Document, checked: ExperimentFile, base: Resolved, registry: Registry) -> Search | None:
    """The search section of an experiment, if it has one. Raises ExperimentError."""
    section = checked.search
    if section is None:
        return None
    reader = _Reader(document, base, registry)
    reader.check_apart(list(section.parameters))
    return Search(
        metric=section.metric or checked.report.primary,
        trials=section.trials,
        sampler=section.sampler,
        seed=checked.seeds[0] if section.seed is None else section.seed,
        parameters=tuple(reader.parameter(path, spec) for path, spec in section.parameters.items()),
    )


def with_values(document: Document, search: Search, values: Mapping[str, Any]) -> Document:
    """The document with these values by path; what is as in the base row is left as it is written there."""
    base = {parameter.path: parameter.base for parameter in search.parameters}
    changes = {path: value for path, value in values.items() if value != base[path]}
    return override_all(document, _SECTION, changes)


@dataclass(frozen=True)
class _Reader:
    document: Document
    base: Resolved
    registry: Registry

    def parameter(self, path: str, spec: SearchParameter) -> Parameter:
        if path.partition(".")[0] not in _ROOMS:
            self._fail(path, f"a search may vary settings below {' and '.join(_ROOMS)} only")
        example = spec.low if spec.choices is None else next(value for value in spec.choices if value is not None)
        self._check_path(path, example)
        base = self._base_value(path.split("."))
        parameter = Parameter(path, base, self._domain(path, spec, base))
        for value in parameter.extremes:
            self._check_value(parameter, value)
        return parameter

    def check_apart(self, paths: Sequence[str]) -> None:
        """No parameter may be a part of another: which of the two would count?"""
        for inner in paths:
            for outer in paths:
                if inner.startswith(f"{outer}."):
                    self._fail(inner, f"is a part of {outer}, which is searched as a whole; keep one of them")

    def _check_path(self, path: str, value: Any) -> None:
        override(self.document, path, Document(value, {(): self._place(path)}))

    def _base_value(self, parts: Sequence[str]) -> Any:
        """The value in the base row: as written, with defaults filled in."""
        written, resolved = _at(self.document.data, parts), _at(self.base, parts)
        if isinstance(written, dict | list) or resolved is None:
            return written
        if isinstance(resolved, dict) and written is not None:  # a number that stands for the weight of a loss
            return resolved.get("weight", written)
        return resolved

    def _domain(self, path: str, spec: SearchParameter, base: Any) -> Range | Choices:
        if spec.choices is not None:
            return self._choices(path, spec.choices, base)
        if not isinstance(base, int | float) or isinstance(base, bool):
            self._fail(path, f"is {_shown(base)} in the base row, no number to vary; give choices, or name a number")
        assert spec.low is not None and spec.high is not None  # the schema saw to it
        is_whole = isinstance(base, int)
        step = spec.step or (1.0 if is_whole and not spec.log else None)
        if is_whole and not all(float(number).is_integer() for number in (spec.low, spec.high, step or 1.0)):
            self._fail(path, "takes whole numbers; give low, high and step as such")
        if not spec.low <= base <= spec.high:
            self._fail(path, f"the base row, which is the first trial, has {_shown(base)}; widen the range")
        if step and not all(_is_multiple(end - spec.low, step) for end in (base, spec.high)):
            self._fail(path, f"high and the {_shown(base)} of the base row must be whole steps above low")
        return Range(spec.low, spec.high, spec.log, step, is_whole)

    def _choices(self, path: str, choices: list[Any], base: Any) -> Choices:
        if len({json.dumps(value) for value in choices}) < len(choices):
            self._fail(path, "a choice is given twice")
        if base not in choices:
            self._fail(path, f"the base row, which is the first trial, has {_shown(base)}; add it to the choices")
        return Choices(tuple(choices))

    def _check_value(self, parameter: Parameter, value: Any) -> None:
        if value == parameter.base:
            return
        path = parameter.path
        changed = resolve(override(self.document, path, Document(value, {(): self._place(path)})), self.registry)
        if changed == self.base:
            self._fail(path, f"{_shown(value)} changes nothing against the base row")

    def _place(self, path: str) -> str:
        return self.document.place((*_SECTION, path))

    def _fail(self, path: str, message: str) -> None:
        raise ExperimentError(f"{self._place(path)}: search.parameters: {path}: {message}")


def _at(data: Any, parts: Sequence[str]) -> Any:
    """What stands at a path; None if nothing does."""
    for part in parts:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _is_multiple(distance: float, step: float) -> bool:
    return abs(distance / step - round(distance / step)) < 1e-6


def _shown(value: Any) -> str:
    return "no value" if value is None else json.dumps(value)
