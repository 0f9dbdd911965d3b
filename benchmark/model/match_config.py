"""Which configuration of a backbone published weights belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmark.errors import CheckpointError, ComponentError
from benchmark.model.build import build_on_meta
from benchmark.model.published import Mismatch, has_own_names, match_weights
from benchmark.model.restorer import Restorer
from benchmark.registry import Registry


@dataclass(frozen=True)
class ConfigMatch:
    """A configuration that published weights fit.

    Attributes:
        name: Name of the configuration.
        others: Names of different configurations that fit as well.
        restorer: Its network, without weights.
        weights: The weights for this network, under our names.
    """

    name: str
    others: tuple[str, ...]
    restorer: Restorer
    weights: dict[str, Tensor]


def find_config(
    file: Path, weights: Mapping[str, Tensor], models: Mapping[str, Mapping[str, Any]], registry: Registry
) -> ConfigMatch:
    """Return the first of some configurations that has exactly the names and shapes of published weights.

    Args:
        file: Where the weights were read from, for messages.
        weights: The published weights under their authors' names.
        models: Resolved configurations of a backbone, by name.
        registry: Where components are found.

    Raises:
        CheckpointError: No configuration fits; the message says which is nearest.
        ComponentError: None of the configurations can be built.
    """
    if has_own_names(weights):
        raise CheckpointError(f"{file}: has the names of this project already; give it as model.weights as it is")
    matches: list[ConfigMatch] = []
    mismatches: dict[str, Mismatch] = {}
    errors: list[ComponentError] = []
    for name, model in models.items():
        try:
            restorer = build_on_meta(model, registry)
        except ComponentError as error:  # the options are for another size
            errors.append(error)
            continue
        renamed, mismatch = match_weights(weights, restorer)
        if mismatch:
            mismatches[name] = mismatch
        else:
            matches.append(ConfigMatch(name, (), restorer, renamed))
    if not matches and not mismatches:
        raise errors[0]
    if not matches:
        nearest = min(mismatches, key=lambda name: len(mismatches[name]))
        raise CheckpointError(
            f"{file}: fits none of {', '.join(mismatches)}; nearest is {nearest}: {mismatches[nearest]}; "
            "if it is of another size, describe it by options, e.g. --option width=16"
        )
    first, *others = matches
    return replace(first, others=tuple(other.name for other in others if models[other.name] != models[first.name]))
