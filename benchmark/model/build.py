"""Building a Restorer from a resolved configuration or a record folder; the only place that makes one."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import RecordError
from benchmark.experiment.schema import ResolvedModel
from benchmark.model.published import load_weights
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
