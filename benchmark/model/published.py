"""Published weights under our names: renamed by the rules of their backbone, scaled to our units, checked."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from backbones import Published
from benchmark.errors import CheckpointError
from benchmark.files import digest_of
from benchmark.model.restorer import Restorer
from benchmark.model.weight_files import WeightSet, read_checkpoint, shown
from benchmark.registry import Registry

_SHOWN_KEYS = 3
"""Keys of each kind that a message lists."""
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
_Mix = float | tuple[tuple[float, ...], ...]
"""`head_scale` or `head_mix` of published weights, for images in [0, 1]."""


@dataclass(frozen=True)
class Mismatch:
    """Where weights and a network disagree; false where they agree. Missing and reshaped keys are ours."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    """Keys that both have in different shapes, with both shapes."""
    unusable: tuple[str, ...] = ()
    """Keys whose tensors cannot be weights, with the reason; they are looked at only where names and shapes fit."""

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.reshaped)

    def __bool__(self) -> bool:
        return len(self) > 0 or bool(self.unusable)

    def __str__(self) -> str:
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.reshaped,
            "unusable": self.unusable,
        }
        return "; ".join(
            f"{len(keys)} {kind}: {', '.join(map(shown, keys[:_SHOWN_KEYS]))}{', ...' * (len(keys) > _SHOWN_KEYS)}"
            for kind, keys in kinds.items()
            if keys
        )


@dataclass(frozen=True)
class Fit:
    """How a checkpoint fits a network.

    Attributes:
        source: The set of weights in the file that fits best.
        weights: These weights under our names, in our shapes and units; empty where they do not fit.
        mismatch: What does not fit.
        others: Names of further sets that fit as well.
    """

    source: WeightSet
    weights: dict[str, Tensor]
    mismatch: Mismatch
    others: tuple[str, ...] = ()

    @property
    def choice(self) -> str:
        """Which of several sets was taken, and what was left out, in one sentence; empty where there was no choice."""
        left_out = [f"those in {other}" for other in self.others]
        if self.source.others:
            left_out.append(f"{self.source.others} tensors with other prefixes")
        return f"took the weights in {self.source.name}, not {' and '.join(left_out)}" if left_out else ""


def best_fit(sets: Sequence[WeightSet], restorer: Restorer) -> Fit:
    """Return the set of weights that fits a network, the first if several do; else the one that fits most nearly."""
    fits = [Fit(source, *match_weights(source.tensors, restorer)) for source in sets]
    best = min(fits, key=lambda fit: (len(fit.mismatch), len(fit.mismatch.unusable)))
    others = [
        f"{fit.source.name} ({fit.mismatch or 'which fit as well'})"
        for fit in fits
        if fit is not best and not len(fit.mismatch)
    ]
    return best if best.mismatch else replace(best, others=tuple(others))


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
    fit = best_fit(read_checkpoint(file), restorer)
    name, head = model["backbone"]["name"], model["head"]
    if not has_own_names(fit.source.tensors):
        published_head = published_of(name, file, registry).head_of(model["backbone"])
        if _with_defaults(head, registry) != _with_defaults(published_head, registry):
            raise CheckpointError(
                f"{file}: published weights of backbone {name!r} end in another head than model.head; "
                f"write  head: {flow(published_head)}"
            )
    if fit.mismatch:
        raise CheckpointError(
            f"{file}: does not fit backbone {name!r} with head {head['name']!r} as described: {fit.mismatch}"
        )
    restorer.load_state_dict(fit.weights)


def has_own_names(weights: Collection[str]) -> bool:
    """Return whether weights have the names of this project, as those of a record folder do."""
    return all(key.startswith(("backbone.", "head.")) for key in weights)


def match_weights(weights: Mapping[str, Tensor], restorer: Restorer) -> tuple[dict[str, Tensor], Mismatch]:
    """Return the weights of a checkpoint under our names and in our shapes, and where they do not fit the network.

    The network may be on the meta device: only names, shapes and types of its state are used. Tensors are computed
    with only where all names and shapes fit, so a file cannot ask for more memory than its network.
    """
    expected = restorer.state_dict()
    published = restorer.backbone.published
    mix: _Mix = 1.0
    if has_own_names(weights) or published is None:
        official, zeros = {name: name for name in weights}, list[str]()
    else:
        official = _official_names(weights, published)
        low, high = restorer.backbone.input_range
        mix = published.head_mix or published.head_scale / (high - low)
        zeros = [name for name in published.zeros if name in expected and name not in official]
    shapes = {name: _our_shape(name, weights[key].shape, expected.get(name), mix) for name, key in official.items()}
    mismatch = Mismatch(
        missing=tuple(name for name in expected if name not in shapes and name not in zeros),
        unexpected=tuple(official[name] for name in shapes if name not in expected),
        reshaped=tuple(
            f"{name} {list(shapes[name])}, expected {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in shapes and shapes[name] != tensor.shape
        ),
    )
    if mismatch:
        return {}, mismatch
    faults = {key: _fault(weights[key], expected[name]) for name, key in official.items()}
    if any(faults.values()):
        return {}, Mismatch(unusable=tuple(f"{shown(key)} {fault}" for key, fault in faults.items() if fault))
    ours = {
        name: _in_our_units(name, weights[key], mix).reshape(expected[name].shape) for name, key in official.items()
    }
    return ours | {name: torch.zeros(expected[name].shape) for name in zeros}, mismatch


def _fault(tensor: Tensor, expected: Tensor) -> str:
    """Return why a tensor cannot be a weight; empty if it can."""
    if tensor.is_meta:
        return "has no data (device meta)"
    if tensor.layout != torch.strided or tensor.is_quantized:
        return f"is {'quantised' if tensor.is_quantized else 'sparse'}; save it as a plain tensor"
    if tensor.dtype not in (_FLOATS if expected.is_floating_point() else (*_INTEGERS, *_FLOATS)):
        return f"is {str(tensor.dtype).removeprefix('torch.')}; expected float16, bfloat16, float32 or float64"
    is_finite = tensor.isfinite().all() and tensor.to(expected.dtype).isfinite().all()
    return "" if is_finite else "is not finite (NaN or infinite)"


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


def _our_shape(name: str, shape: torch.Size, expected: Tensor | None, mix: _Mix) -> torch.Size:
    """Return the shape that a tensor will have in our network.

    The authors' last convolution may have other channels than our head's, of which a matrix makes ours. Some authors
    keep scales of norms as 1 C 1 1: only sides of 1 may differ.
    """
    if name.startswith("head.") and isinstance(mix, tuple) and shape[:1] == (len(mix[0]),):
        shape = torch.Size((len(mix), *shape[1:]))
    if expected is None or [side for side in shape if side != 1] != [side for side in expected.shape if side != 1]:
        return shape
    return expected.shape


def _in_our_units(name: str, tensor: Tensor, mix: _Mix) -> Tensor:
    """Return a weight for our units: our head's convolution works in [0, 1], the authors' in their input's range."""
    if not name.startswith("head."):
        return tensor
    return tensor * mix if isinstance(mix, float) else torch.tensordot(torch.tensor(mix, dtype=tensor.dtype), tensor, 1)


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
