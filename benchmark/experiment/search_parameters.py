"""Reads `search.parameters`: each is checked with the rows that it makes, in the base row or where it is asked."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NoReturn

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document, override, value_at
from benchmark.experiment.resolve import Recipe, resolve
from benchmark.experiment.search_settings import SearchParameter
from benchmark.experiment.search_space import (
    SECTION,
    Choices,
    Parameter,
    Range,
    branches,
    values_of_base,
    with_values,
)
from benchmark.registry import Registry

SEARCHABLE_SECTIONS = ("model", "protocol")
"""Sections that a search may vary: trials with other data or gates could not be compared."""


def read_parameters(
    specs: Mapping[str, SearchParameter], document: Document, base: Recipe, registry: Registry
) -> tuple[Parameter, ...]:
    """Return the parameters of a search, each one after those that its condition names.

    Args:
        specs: By path, in the order of the file.
        document: The base row's settings.
        base: The base row.
        registry: Known components.

    Raises:
        ExperimentError: A parameter or a condition cannot be, with its line.
    """
    _check_parts(specs, document)
    parameters: dict[str, Parameter] = {}
    for path in _asking_order(specs, document):
        when = _condition(path, specs[path], parameters, document)
        above = _above(when, parameters)
        candidates = [values for values in branches(above) if Parameter(path, None, Choices(()), when).is_asked(values)]
        if not candidates:
            _fail(document, path, "is never asked: its conditions exclude each other; change `when`")
        in_base = values_of_base(above)
        candidates.sort(key=lambda values: values != in_base)  # the base row first
        is_in_base = candidates[0] == in_base
        variants = [
            _Row.of(values, above, document, base, registry).parameter(path, specs[path]) for values in candidates
        ]
        parameters[path] = dataclasses.replace(
            variants[0],
            base=variants[0].base if is_in_base else None,
            when=when,
            branch={} if is_in_base else candidates[0],
        )
    return tuple(parameters.values())


def _check_parts(specs: Mapping[str, SearchParameter], document: Document) -> None:
    for inner, outer in permutations(specs, 2):
        if inner.startswith(f"{outer}.") and outer not in (specs[inner].when or {}):
            _fail(
                document,
                inner,
                f"is a part of {outer}, which is searched as a whole; keep one of them, or give the choices that it "
                f"belongs to, e.g. when: {{{outer}: NAME}}",
            )


def _asking_order(specs: Mapping[str, SearchParameter], document: Document) -> list[str]:
    """Return the paths in the order of the file, but each one after those that its condition names."""
    order: list[str] = []
    while len(order) < len(specs):
        ready = [path for path in specs if path not in order and not (specs[path].when or {}).keys() - {*order}]
        if not ready:
            path, missing = next(
                (path, sorted(spec.when.keys() - {*order}))
                for path, spec in specs.items()
                if path not in order and spec.when
            )
            unknown = next((name for name in missing if name not in specs), None)
            if unknown is None:
                _fail(document, path, f"waits for {missing[0]}, which waits for it; drop one of the conditions")
            _fail(document, path, f"when: the search does not vary {unknown!r}; {suggestion(unknown, specs)}")
        order.append(ready[0])
    return order


def _condition(
    path: str, spec: SearchParameter, parameters: Mapping[str, Parameter], document: Document
) -> dict[str, tuple[Any, ...]]:
    """Return the condition of a parameter with whole choices: those that it names, by path."""
    condition: dict[str, tuple[Any, ...]] = {}
    for name, value in (spec.when or {}).items():
        domain = parameters[name].domain
        if isinstance(domain, Range):
            _fail(document, path, f"when: {name} is a range; a condition is about choices")
        chosen: list[Any] = []
        for name_or_choice in [value] if value in domain.values or not isinstance(value, list) else value:
            fitting = [choice for choice in domain.values if name_or_choice in (choice, _name_of(choice))]
            if not fitting:
                names = ", ".join(_shown(_name_of(choice)) for choice in domain.values)
                _fail(document, path, f"when: {_shown(name_or_choice)} is no choice of {name}; its choices are {names}")
            chosen += [choice for choice in fitting if choice not in chosen]
        if len(chosen) == len(domain.values):
            _fail(document, path, f"when: names every choice of {name}; drop it")
        condition[name] = tuple(chosen)
    return condition


def _above(when: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> list[Parameter]:
    """Return the parameters that a condition names, those that their conditions name, and so on, in asking order."""
    names = {*when}
    for path, parameter in reversed(list(parameters.items())):
        if path in names:
            names |= parameter.when.keys()
    return [parameter for path, parameter in parameters.items() if path in names]


@dataclass(frozen=True)
class _Row:
    """The base row, or a row with the choices with which a parameter is asked."""

    document: Document
    recipe: Recipe
    registry: Registry
    is_base: bool

    @classmethod
    def of(
        cls,
        values: Mapping[str, Any],
        parameters: Sequence[Parameter],
        document: Document,
        base: Recipe,
        registry: Registry,
    ) -> "_Row":
        if values == values_of_base(parameters):
            return cls(document, base, registry, is_base=True)
        changed = with_values(document, parameters, values)
        return cls(changed, resolve(changed, registry), registry, is_base=False)

    def parameter(self, path: str, spec: SearchParameter) -> Parameter:
        """Return a parameter after a look at the rows that its ends or choices make here."""
        if path.partition(".")[0] not in SEARCHABLE_SECTIONS:
            self._fail(path, f"a search may vary settings below {' and '.join(SEARCHABLE_SECTIONS)} only")
        example = spec.low if spec.choices is None else next(value for value in spec.choices if value is not None)
        self._override(path, example)  # raises where the path does not exist
        value_here = self._value_here(path.split("."))
        parameter = Parameter(path, value_here, self._domain(path, spec, value_here))
        rows: dict[str, Any] = {}
        for value in parameter.extremes:
            recipe = self.recipe if value == value_here else resolve(self._override(path, value), self.registry)
            if value != value_here and recipe.config == self.recipe.config:
                self._fail(path, f"{_shown(value)} changes nothing against {self._name}")
            if (other := rows.setdefault(json.dumps(recipe.config), value)) is not value:
                self._fail(path, f"{_shown(other)} and {_shown(value)} make the same row; keep one of them")
        return parameter

    def _override(self, path: str, value: Any) -> Document:
        return override(self.document, path, Document(value, {(): self.document.place((*SECTION, path))}))

    def _value_here(self, parts: Sequence[str]) -> Any:
        """Return the value in this row: as written, with defaults filled in."""
        written, resolved = value_at(self.document.data, parts), value_at(self.recipe.config, parts)
        if isinstance(written, dict | list) or resolved is None:
            return written
        if isinstance(resolved, dict) and written is not None:  # a number that stands for the weight of a loss
            return resolved.get("weight", written)
        return resolved

    def _domain(self, path: str, spec: SearchParameter, value: Any) -> Range | Choices:
        if spec.choices is not None:
            if len({json.dumps(choice) for choice in spec.choices}) < len(spec.choices):
                self._fail(path, "a choice is given twice")
            if self.is_base and value not in spec.choices:
                self._fail(path, f"the base row, which is the first trial, has {_shown(value)}; add it to the choices")
            return Choices(tuple(spec.choices))
        if not isinstance(value, int | float) or isinstance(value, bool):
            self._fail(path, f"is {_shown(value)} in {self._name}, no number to vary; give choices, or name a number")
        assert spec.low is not None and spec.high is not None  # the schema has checked it
        is_whole = isinstance(value, int)
        step = spec.step or (1.0 if is_whole and not spec.log else None)
        if is_whole and not all(float(number).is_integer() for number in (spec.low, spec.high, step or 1.0)):
            self._fail(path, "takes whole numbers; give low, high and step as such")
        if self.is_base and not spec.low <= value <= spec.high:
            self._fail(path, f"the base row, which is the first trial, has {_shown(value)}; widen the range")
        ends = (value, spec.high) if self.is_base else (spec.high,)
        if step and not all(_is_multiple(end - spec.low, step) for end in ends):
            self._fail(path, f"high and the {_shown(value)} of {self._name} must be whole steps above low")
        return Range(spec.low, spec.high, spec.log, step, is_whole)

    @property
    def _name(self) -> str:
        return "the base row" if self.is_base else "the row where it is asked"

    def _fail(self, path: str, message: str) -> NoReturn:
        _fail(self.document, path, message)


def _fail(document: Document, path: str, message: str) -> NoReturn:
    raise ExperimentError(f"{document.place((*SECTION, path))}: search.parameters: {path}: {message}")


def _name_of(choice: Any) -> Any:
    """Return the name of a component with options; other choices as they are."""
    return choice["name"] if isinstance(choice, dict) and isinstance(choice.get("name"), str) else choice


def _is_multiple(distance: float, step: float) -> bool:
    return abs(distance / step - round(distance / step)) < 1e-6


def _shown(value: Any) -> str:
    return "no value" if value is None else json.dumps(value)
