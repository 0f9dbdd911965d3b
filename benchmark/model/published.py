"""Published weights under our names: renamed by the rules of their backbone, scaled to our units, checked."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from backbones import Published
from benchmark.errors import CheckpointError
from benchmark.files import digest_of
from benchmark.model.restorer import Restorer
from benchmark.model.weight_files import read_checkpoint
from benchmark.registry import Registry

_SHOWN_KEYS = 3
"""Keys of each kind that a message lists."""


@dataclass(frozen=True)
class Mismatch:
    """Where weights and a network disagree; false where they agree. Unexpected keys are as in the file, others ours."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    """Keys that both have in different shapes, with both shapes."""

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.reshaped)

    def __str__(self) -> str:
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": self.reshaped}
        return "; ".join(
            f"{len(keys)} {kind}: {', '.join(keys[:_SHOWN_KEYS])}{', ...' if len(keys) > _SHOWN_KEYS else ''}"
            for kind, keys in kinds.items()
            if keys
        )


def load_weights(restorer: Restorer, model: Mapping[str, Any], weights: Mapping[str, Any], registry: Registry) -> None:
    """Fill a network with the weights of a file: weights of this project, or published weights of the backbone.

    Args:
        restorer: The network, changed in place.
        model: The configuration that the network was built from.
        weights: `file`, and `sha256`: its digest when the row was planned.
        registry: Where components are found.

    Raises:
        CheckpointError: The file has changed since, or does not fit backbone and head exactly.
    """
    file = Path(weights["file"])
    try:
        digest = digest_of(file)
    except OSError as error:
        raise CheckpointError(f"{file}: weights cannot be read: {error.strerror}") from None
    if digest != weights["sha256"]:
        raise CheckpointError(f"{file}: has changed since it was planned; run the command again")
    content = read_checkpoint(file)
    name, head = model["backbone"]["name"], model["head"]
    if not has_own_names(content):
        published = published_of(name, file, registry)
        if _with_defaults(head, registry) != _with_defaults(published.head, registry):
            raise CheckpointError(
                f"{file}: published weights of backbone {name!r} end in another head than model.head; "
                f"write  head: {flow(published.head)}"
            )
    matched, mismatch = match_weights(content, restorer)
    if mismatch:
        raise CheckpointError(
            f"{file}: does not fit backbone {name!r} with head {head['name']!r} as described: {mismatch}"
        )
    restorer.load_state_dict(matched)


def has_own_names(weights: Collection[str]) -> bool:
    """Return whether weights have the names of this project, as those of a record folder do."""
    return all(key.startswith(("backbone.", "head.")) for key in weights)


def match_weights(weights: Mapping[str, Tensor], restorer: Restorer) -> tuple[dict[str, Tensor], Mismatch]:
    """Return the weights of a checkpoint under our names and in our shapes, and where they do not fit the network.

    The network may be on the meta device: only names and shapes of its state are used.
    """
    expected = {name: tensor.shape for name, tensor in restorer.state_dict().items()}
    published = restorer.backbone.published
    if has_own_names(weights) or published is None:
        renamed, official = dict(weights), {name: name for name in weights}
    else:
        official = _official_names(weights, published)
        low, high = restorer.backbone.input_range
        mix = published.head_mix or published.head_scale / (high - low)
        renamed = {name: _in_our_units(name, weights[key], mix) for name, key in official.items()}
        absent = [name for name in published.zeros if name in expected and name not in renamed]
        renamed |= {name: torch.zeros(expected[name]) for name in absent}
    shaped = {name: _reshaped(tensor, expected.get(name)) for name, tensor in renamed.items()}
    mismatch = Mismatch(
        missing=tuple(name for name in expected if name not in shaped),
        unexpected=tuple(official[name] for name in shaped if name not in expected),
        reshaped=tuple(
            f"{name} {list(shaped[name].shape)}, expected {list(shape)}"
            for name, shape in expected.items()
            if name in shaped and shaped[name].shape != shape
        ),
    )
    return shaped, mismatch


def _official_names(weights: Collection[str], published: Published) -> dict[str, str]:
    """Return our name -> official key.

    A key without a rule, or whose new name is taken, keeps its own name, which the network will not expect.
    """
    renames = published.keys(weights) if callable(published.keys) else published.keys
    names: dict[str, str] = {}
    for key in weights:
        if not any(re.fullmatch(pattern, key) for pattern in published.recomputed):
            matches = ((re.fullmatch(pattern, key), replacement) for pattern, replacement in renames)
            name = next((match.expand(replacement) for match, replacement in matches if match), key)
            names[key if name in names else name] = key
    return names


def _in_our_units(name: str, tensor: Tensor, mix: float | tuple[tuple[float, ...], ...]) -> Tensor:
    """Return a weight for our units: our head's convolution works in [0, 1], the authors' in their input's range."""
    if not name.startswith("head."):
        return tensor
    if isinstance(mix, float):
        return tensor * mix
    rows = torch.tensor(mix, dtype=tensor.dtype)
    # A tensor with another number of channels stays as it is; the mismatch of its shape is reported with its name.
    return torch.tensordot(rows, tensor, dims=1) if len(tensor) == rows.shape[1] else tensor


def _reshaped(tensor: Tensor, shape: torch.Size | None) -> Tensor:
    """Return a tensor in another shape if only sides of 1 differ: some authors keep scales of norms as 1 C 1 1."""
    if shape is None or [side for side in tensor.shape if side != 1] != [side for side in shape if side != 1]:
        return tensor
    return tensor.reshape(shape)


def published_of(backbone: str, file: Path, registry: Registry) -> Published:
    """Return how published weights of a backbone are read; `file` is for the message.

    Raises:
        CheckpointError: The backbone knows of no published weights.
    """
    published: Published | None = registry.find("backbone", backbone).published
    if published is None:
        raise CheckpointError(
            f"{file}: backbone {backbone!r} does not say how weights under its authors' names are read; it takes those "
            "of a trained row alone"
        )
    return published


def _with_defaults(head: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Return a head's name and all its options, as plain data."""
    options = {key: value for key, value in head.items() if key != "name"}
    filled = registry.options_model("head", head["name"]).model_validate(options).model_dump(mode="json")
    return {"name": head["name"], **filled}


def flow(component: Mapping[str, Any]) -> str:
    """Return a component as it stands in YAML, on one line."""
    return yaml.safe_dump(dict(component), default_flow_style=True, sort_keys=False, width=math.inf).strip()
