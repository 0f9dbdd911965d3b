"""Published weights under our names: renamed by what a backbone knows of its reference implementation, and checked."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from backbones import Published
from benchmark.errors import CheckpointError
from benchmark.files import digest_of
from benchmark.model.checkpoints import read_checkpoint
from benchmark.model.restorer import Restorer
from benchmark.registry import Registry

_FIRST = 3
"""Keys of each sort that a message lists."""


@dataclass(frozen=True)
class Misfit:
    """Where weights and a network disagree. Keys are ours, but for unexpected ones, which stand as in the file."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    """Keys that both have, with both shapes."""

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.reshaped)

    def __str__(self) -> str:
        sorts = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": self.reshaped}
        return "; ".join(f"{len(keys)} {sort}: {_first(keys)}" for sort, keys in sorts.items() if keys)


def load_weights(restorer: Restorer, model: Mapping[str, Any], weights: Mapping[str, Any], registry: Registry) -> None:
    """Fill a network with the weights of a file: ours by name, or published ones of its backbone.

    `model`: the configuration the network was built from. `weights`: `file` and `sha256`, its digest when it was
    planned. Raises CheckpointError if the file has changed, or does not fit backbone and head exactly.
    """
    file = Path(weights["file"])
    if _digest(file) != weights["sha256"]:
        raise CheckpointError(f"{file}: has changed since it was planned; run the command again")
    found = read_checkpoint(file)
    if not is_ours(found):
        _check_head(file, model, registry)
    fitting, misfit = fit(found, restorer)
    if misfit:
        described = f"backbone {model['backbone']['name']!r} with head {model['head']['name']!r}"
        raise CheckpointError(f"{file}: does not fit {described} as described: {misfit}")
    restorer.load_state_dict(fitting)


def is_ours(weights: Collection[str]) -> bool:
    """Whether weights carry the names of this project, as those of a record folder do."""
    return all(key.startswith(("backbone.", "head.")) for key in weights)


def fit(weights: Mapping[str, Tensor], restorer: Restorer) -> tuple[dict[str, Tensor], Misfit]:
    """Weights of a checkpoint under our names and in our shapes, and where they do not fit the network.

    The network may be on the meta device: only names and shapes of its state are looked at.
    """
    wanted = {name: tensor.shape for name, tensor in restorer.state_dict().items()}
    published = restorer.backbone.published
    if is_ours(weights) or published is None:
        found, official = dict(weights), {name: name for name in weights}
    else:
        official = _official_names(weights, published)
        low, high = restorer.backbone.input_range
        mix = published.head_mix or published.head_scale / (high - low)
        found = {name: _in_our_units(name, weights[key], mix) for name, key in official.items()}
        found |= {name: torch.zeros(wanted[name]) for name in published.zeros if name in wanted and name not in found}
    shaped = {name: _shaped(tensor, wanted.get(name)) for name, tensor in found.items()}
    misfit = Misfit(
        missing=tuple(name for name in wanted if name not in shaped),
        unexpected=tuple(official[name] for name in shaped if name not in wanted),
        reshaped=tuple(
            f"{name} {list(shaped[name].shape)}, expected {list(shape)}"
            for name, shape in wanted.items()
            if name in shaped and shaped[name].shape != shape
        ),
    )
    return shaped, misfit


def _official_names(weights: Collection[str], published: Published) -> dict[str, str]:
    """Our name -> official key. A key without a rule, or whose name is taken, keeps its own: nothing will expect it."""
    renames = published.keys(weights) if callable(published.keys) else published.keys
    names: dict[str, str] = {}
    for key in weights:
        if not any(re.fullmatch(pattern, key) for pattern in published.recomputed):
            name = _renamed(key, renames)
            names[key if name in names else name] = key
    return names


def _renamed(key: str, renames: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in renames:
        if match := re.fullmatch(pattern, key):
            return match.expand(replacement)
    return key


def _in_our_units(name: str, tensor: Tensor, mix: float | tuple[tuple[float, ...], ...]) -> Tensor:
    """The head's convolution works in [0, 1] units here, in those of the backbone's input there."""
    if not name.startswith("head."):
        return tensor
    if isinstance(mix, float):
        return tensor * mix
    rows = torch.tensor(mix, dtype=tensor.dtype)
    # One of another number of channels stays as it is: that it does not fit is told with its name.
    return torch.tensordot(rows, tensor, dims=1) if len(tensor) == rows.shape[1] else tensor


def _shaped(tensor: Tensor, wanted: torch.Size | None) -> Tensor:
    """In the wanted shape, if only sides of 1 differ: the authors keep scale and shift of some norms as 1 C 1 1."""
    if wanted is None or tensor.numel() != math.prod(wanted) or _long_sides(tensor.shape) != _long_sides(wanted):
        return tensor
    return tensor.reshape(wanted)


def _long_sides(shape: Iterable[int]) -> list[int]:
    return [side for side in shape if side != 1]


def published_of(backbone: str, file: Path, registry: Registry) -> Published:
    """How the published weights in a file are read. Raises CheckpointError where the backbone knows of none."""
    published: Published | None = registry.find("backbone", backbone).published
    if published is None:
        raise CheckpointError(
            f"{file}: backbone {backbone!r} does not say how weights under its authors' names are read; it takes those "
            "of a trained row alone"
        )
    return published


def _check_head(file: Path, model: Mapping[str, Any], registry: Registry) -> None:
    name = model["backbone"]["name"]
    published = published_of(name, file, registry)
    if with_defaults("head", model["head"], registry) != with_defaults("head", published.head, registry):
        raise CheckpointError(
            f"{file}: published weights of backbone {name!r} end in another head than model.head; "
            f"write  head: {flow(published.head)}"
        )


def with_defaults(kind: str, component: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """A component's name and all its options, as plain data."""
    options = {key: value for key, value in component.items() if key != "name"}
    filled = registry.options_model(kind, component["name"]).model_validate(options).model_dump(mode="json")
    return {"name": component["name"], **filled}


def flow(component: Mapping[str, Any]) -> str:
    """A component as it stands in YAML, on one line."""
    return yaml.safe_dump(dict(component), default_flow_style=True, sort_keys=False, width=math.inf).strip()


def _digest(file: Path) -> str:
    try:
        return digest_of(file)
    except OSError as error:
        raise CheckpointError(f"{file}: weights cannot be read: {error.strerror}") from None


def _first(keys: Collection[str]) -> str:
    return ", ".join(list(keys)[:_FIRST]) + (", ..." if len(keys) > _FIRST else "")
