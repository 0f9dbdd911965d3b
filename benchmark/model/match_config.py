"""Which configuration of a backbone published weights belong to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmark.errors import CheckpointError, ComponentError
from benchmark.model.build import outline
from benchmark.model.published import Misfit, fit, is_ours
from benchmark.model.restorer import Restorer
from benchmark.registry import Registry


@dataclass(frozen=True)
class Identified:
    """`name`: of the configuration that fits; `others`: different ones that fit as well.

    `restorer`: its network, without weights; `weights`: those for it, under our names.
    """

    name: str
    others: tuple[str, ...]
    restorer: Restorer
    weights: dict[str, Tensor]


def identify(
    file: Path, weights: Mapping[str, Tensor], models: Mapping[str, Mapping[str, Any]], registry: Registry
) -> Identified:
    """The first of some configurations with exactly the names and shapes of published weights.

    `weights`: as read from `file`, which stands in messages. `models`: resolved configurations of a backbone, by name.
    Raises CheckpointError with the nearest if none fits, ComponentError if none of them can be built.
    """
    if is_ours(weights):
        raise CheckpointError(f"{file}: has the names of this project already; give it as model.weights as it is")
    fitting: list[Identified] = []
    misfits: dict[str, Misfit] = {}
    broken: list[ComponentError] = []
    for name, model in models.items():
        try:
            restorer = outline(model, registry)
        except ComponentError as error:  # options given for another size
            broken.append(error)
            continue
        ours, misfit = fit(weights, restorer)
        if misfit:
            misfits[name] = misfit
        else:
            fitting.append(Identified(name, (), restorer, ours))
    if not fitting and not misfits:
        raise broken[0]
    if not fitting:
        nearest = min(misfits, key=lambda name: len(misfits[name]))
        raise CheckpointError(
            f"{file}: fits none of {', '.join(misfits)}; nearest is {nearest}: {misfits[nearest]}; "
            "if it is of another size, describe it by options, e.g. --option width=16"
        )
    first, *others = fitting
    different = tuple(other.name for other in others if models[other.name] != models[first.name])
    return Identified(first.name, different, first.restorer, first.weights)
