"""From a resolved configuration, or a record folder, to a Restorer: the one place that makes them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import RecordError
from benchmark.model.published import load_weights
from benchmark.model.restorer import Restorer
from benchmark.model.weights import read_weights
from benchmark.registry import Registry


def build(model: Mapping[str, Any], seed: int = 0, registry: Registry | None = None) -> Restorer:
    """An untrained Restorer on the CPU, or one with the weights of a file.

    `model`: `{"backbone": {"name": ..., options}, "head": {"name": ..., options}}`, and `"weights": {"file": ...,
    "sha256": ...}` where they are not those of the seed. Equal seeds give a backbone equal initial weights whatever the
    head is; the generators of torch are left as they were. Raises ComponentError, and CheckpointError for `weights`.
    """
    registry = registry or Registry()
    backbone_options, head_options = dict(model["backbone"]), dict(model["head"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed_of("backbone", seed))
        backbone = registry.create("backbone", backbone_options.pop("name"), backbone_options)
        torch.manual_seed(_seed_of("head", seed))
        name = head_options.pop("name")
        head = registry.create("head", name, head_options, in_channels=backbone.out_channels)
    restorer = Restorer(backbone, head)
    if weights := model.get("weights"):
        load_weights(restorer, model, weights, registry)
    return restorer


def architecture(model: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the file of weights it may name: for a network that gets others."""
    return {part: model[part] for part in ("backbone", "head")}


def outline(model: Mapping[str, Any], registry: Registry) -> Restorer:
    """The network without the file of weights, on the meta device where its constructors allow it.

    Drawing 100 million initial weights, to look at their shapes alone, takes seconds.
    """
    try:
        with torch.device("meta"):
            return build(architecture(model), 0, registry)
    except RuntimeError:  # a constructor that computes with tensors
        return build(architecture(model), 0, registry)


def _seed_of(part: str, seed: int) -> int:
    """Seeds of parts that have nothing to do with each other; `seed + 1` would be another row's seed."""
    return int.from_bytes(hashlib.sha256(f"{part} {seed}".encode()).digest()[:8], "little")


def load(folder: str | Path, registry: Registry | None = None) -> Restorer:
    """The trained Restorer of a record folder (`runs/<experiment>/<row>/seed<k>`), in eval mode. Raises RecordError."""
    folder = Path(folder)
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        model = record["config"]["model"] if record["status"] == "done" else None
    except (OSError, ValueError, KeyError, TypeError):
        model = None
    if model is None:
        raise RecordError(f"{folder}: no record of a trained row; expected a folder such as runs/quickstart/base/seed0")
    restorer = build(architecture(model), 0, registry)
    restorer.load_state_dict(read_weights(folder / "weights.safetensors"))
    return restorer.eval()
