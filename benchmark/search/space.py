"""The space of a search as Optuna sees it: distributions, and values as they stand in the journal and in YAML."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.experiment.search_space import Choices, Parameter, Range, Search, values_of_base


def distributions(search: Search) -> dict[str, BaseDistribution]:
    """Return what Optuna samples each parameter from, by path."""
    return {parameter.path: _distribution(parameter) for parameter in search.parameters}


def base_params(search: Search) -> dict[str, Any]:
    """Return the base row's values as they stand in the journal."""
    return {path: _label(value) for path, value in values_of_base(search.parameters).items()}


def values_of(params: Mapping[str, Any], search: Search) -> dict[str, Any]:
    """Return the settings of a trial by path, from the parameters in the journal; an interrupted one may lack some."""
    domains = {parameter.path: parameter.domain for parameter in search.parameters}
    return {path: _value(domains[path], params[path]) for path in domains if path in params}


def chosen(search: Search, choose: Callable[[str, BaseDistribution], Any]) -> dict[str, Any]:
    """Return parameters as they stand in the journal, those alone that are asked with the values of the others.

    Args:
        search: Its parameters.
        choose: Returns the value of a parameter from its path and distribution.
    """
    params: dict[str, Any] = {}
    for parameter in search.parameters:
        if parameter.is_asked(values_of(params, search)):
            params[parameter.path] = choose(parameter.path, _distribution(parameter))
    return params


def all_params(search: Search) -> Iterator[dict[str, Any]]:
    """Yield all settings of a finite space as they stand in the journal."""

    def extend(parameters: Sequence[Parameter], params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not parameters:
            yield params
        elif not parameters[0].is_asked(values_of(params, search)):
            yield from extend(parameters[1:], params)
        else:
            for value in grid_values(parameters[0]):
                yield from extend(parameters[1:], {**params, parameters[0].path: value})

    return extend(search.parameters, {})


def grid_values(parameter: Parameter) -> list[Any]:
    """Return all values of a parameter as they stand in the journal; there must be finitely many."""
    match parameter.domain:
        case Choices(values=values):
            return [_label(value) for value in values]
        case Range(is_whole=True) as numbers:
            step = int(numbers.step or 1)
            return list(range(int(numbers.low), int(numbers.high) + 1, step))
        case Range() as numbers:
            return [numbers.low + index * (numbers.step or 0.0) for index in range(int(parameter.count))]


def settings_key(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what equal settings have in common; a number of steps above the low end has rounding errors."""
    return tuple(
        f"{path} {f'{params[path]:.12g}' if isinstance(params[path], float) else repr(params[path])}"
        for path in sorted(params)
    )


def _distribution(parameter: Parameter) -> BaseDistribution:
    match parameter.domain:
        case Choices(values=values):
            return CategoricalDistribution([_label(value) for value in values])
        case Range(is_whole=True) as numbers:
            return IntDistribution(int(numbers.low), int(numbers.high), numbers.log, int(numbers.step or 1))
        case Range() as numbers:
            return FloatDistribution(numbers.low, numbers.high, numbers.log, numbers.step)


def _label(value: Any) -> Any:
    """Return a value as Optuna takes it: it chooses among scalars, so lists and mappings become JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _value(domain: Range | Choices, label: Any) -> Any:
    values: Sequence[Any] = domain.values if isinstance(domain, Choices) else ()
    return next((value for value in values if _label(value) == label), label)
