"""Build a Restorer from a resolved configuration or a record folder, or find the configuration that weights fit."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import CheckpointError, ComponentError, RecordError
from benchmark.experiment.schema import ResolvedModel
from benchmark.model.published import Mismatch, has_own_names, load_weights, match_weights
from benchmark.model.restorer import Restorer
from benchmark.model.weight_files import read_weights
from benchmark.registry import Registry


def build(model: ResolvedModel | Mapping[str, Any], seed: int = 0, registry: Registry | None = None) -> Restorer:
    """Return an untrained Restorer on the CPU, or one with the weights of a file.

    Equal seeds give a backbone equal initial weights, whatever the head is. The random generators of torch stay as they
    were.

    Args:
        model: As it is in a plan, or as plain data: `{"backbone": {"name": ..., options}, "head": {"name": ...,
            options}}`, and optionally `"weights": {"file": ..., "sha256": ...}`.
        seed: Decides the initial weights.
        registry: Where components are found; by default those of this project and of installed packages.

    Raises:
        ComponentError: A component does not exist or refuses its options.
        CheckpointError: The file of weights is unreadable or does not fit.
    """
    model, registry = ResolvedModel.model_validate(model), registry or Registry()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed_of("backbone", seed))
        backbone = registry.create("backbone", model.backbone.name, model.backbone.options)
        torch.manual_seed(_seed_of("head", seed))
        head = registry.create("head", model.head.name, model.head.options, in_channels=backbone.out_channels)
    restorer = Restorer(backbone, head)
    if model.weights:
        load_weights(restorer, model.as_config(), model.weights.model_dump(), registry)
    return restorer


def architecture(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without its file of weights, for a network that gets other weights."""
    return {part: model[part] for part in ("backbone", "head")}


def build_on_meta(model: Mapping[str, Any], registry: Registry) -> Restorer:
    """Return the network without the file of weights, on the meta device where its constructors allow that.

    This is for names and shapes of weights: drawing 100 million initial weights would take seconds.
    """
    with suppress(RuntimeError), torch.device("meta"):  # a constructor that computes with tensors raises
        return build(architecture(model), 0, registry)
    return build(architecture(model), 0, registry)


def _seed_of(part: str, seed: int) -> int:
    """Return a seed of the part's own; `seed + 1` would be the seed of another row."""
    return int.from_bytes(hashlib.sha256(f"{part} {seed}".encode()).digest()[:8], "little")


def load(folder: str | Path, registry: Registry | None = None) -> Restorer:
    """Return the trained Restorer of a record folder (`runs/<experiment>/<row>/seed<k>`), in eval mode.

    Raises:
        RecordError: The folder has no record of a finished row, or no readable weights.
    """
    folder, model = Path(folder), None
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        model = record["config"]["model"] if record["status"] == "done" else None
    if model is None:
        raise RecordError(f"{folder}: no record of a trained row; expected a folder such as runs/quickstart/base/seed0")
    restorer = build(architecture(model), 0, registry)
    restorer.load_state_dict(read_weights(folder / "weights.safetensors"))
    return restorer.eval()


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
