"""Build a Restorer from a resolved configuration or a record folder, or find the configuration that weights fit."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from benchmark.errors import CheckpointError, ComponentError, RecordError
from benchmark.experiment.schema import ResolvedModel
from benchmark.experiment.weights import model_in_header
from benchmark.model.pruning import with_shapes
from benchmark.model.published import Fit, best_fit, has_own_names, load_weights
from benchmark.model.restorer import Restorer, fold
from benchmark.model.weight_files import WeightSet, read_checkpoint, read_weights
from benchmark.registry import Registry
from reports.digests import check
from reports.errors import FileFormatError
from reports.file_access import read_text
from reports.schema import explain

_CHANGED = "if the network has changed since it was trained, use its version or plugin of then, or train it again"


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
    return {part: model[part] for part in ("backbone", "head", "compress") if part in model}


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


def weights_choices(models: Iterable[ResolvedModel], registry: Registry) -> list[str]:
    """Return a line for each model whose file of weights holds several sets: which is taken, which are not.

    A file that cannot be read or does not fit is passed over: building the network says why.
    """
    lines: dict[str, None] = {}
    for model in models:
        with suppress(CheckpointError, ComponentError):
            if model.weights:
                network = build_on_meta(model.as_config(), registry)
                choice = best_fit(read_checkpoint(Path(model.weights.file)), network).choice
                lines |= {f"{model.weights.file}: {choice}": None} if choice else {}
    return list(lines)


def record_folder(folder: str | Path) -> Path:
    """Return the folder of a trained row and seed: the one given, or of the seeds in it the first that is finished.

    The first, not the best on test images: choosing by them would make their scores too good.
    """
    folder = Path(folder)
    if not (folder / "record.json").exists():
        seeds = sorted(folder.glob("seed*/record.json"), key=lambda file: (len(file.parent.name), file.parent.name))
        for file in seeds:
            with suppress(RecordError):
                recorded_config(file.parent)
                return file.parent
    return folder


def load(path: str | Path, registry: Registry | None = None) -> Restorer:
    """Return a trained Restorer, in eval mode: folded where the file holds the folded network, pruned where it was.

    Args:
        path: Folder of a row (`runs/<experiment>/<row>`, or its `seed<k>`), or a safetensors file that `export` or
            `import` wrote, whose header names the model.
        registry: Where components are found; by default those of this project and of installed packages.

    Raises:
        RecordError: The folder has no record of a finished row, the file no model, or the weights are damaged.
    """
    path, registry = Path(path), registry or Registry()
    if path.is_file():
        weights, named_in, model = path, f"the header of {path.name}", model_in_header(path)
        if not isinstance(model, dict):
            raise RecordError(f"{path}: its header names no model; expected a file that `export` or `import` wrote")
    else:
        folder = record_folder(path)
        weights, named_in = folder / "weights.safetensors", str(folder / "record.json")
        model = recorded_config(folder)["model"]
    try:
        restorer = build(architecture(model), 0, registry)
    except ValidationError as error:
        raise RecordError(f"{named_in}: its model: {explain(error)}; {_CHANGED}") from None
    except (ComponentError, KeyError) as error:
        raise RecordError(f"{named_in}: its model: {error}; {_CHANGED}") from None
    tensors = WeightSet(weights.name, read_weights(weights))
    if model.get("compress", {}).get("prune"):
        restorer = with_shapes(restorer, tensors.tensors)
    fit = best_fit([tensors], restorer)
    if fit.mismatch:
        folded = fold(restorer)
        folded_fit = best_fit([tensors], folded)
        restorer, fit = (restorer, fit) if folded_fit.mismatch else (folded, folded_fit)
    if fit.mismatch:
        raise RecordError(f"{weights}: does not fit the model in {Path(named_in).name}: {fit.mismatch}; {_CHANGED}")
    restorer.load_state_dict(fit.weights)
    return restorer.eval()


def recorded_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of the trained row in a record folder, whose weights are those that it was tested with.

    Raises:
        RecordError: The folder has no record of a finished row, or its weights are missing or damaged.
    """
    config, digests, study = None, dict[str, str](), ""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        record = json.loads(read_text(folder / "record.json"))
        digests, study = dict(record["files"]) if "files" in record else {}, str(record.get("published_in", ""))
        if record["status"] == "done" and isinstance(record["config"]["model"], dict):
            config = record["config"]
    if config is None:
        raise RecordError(f"{folder}: no record of a trained row; expected a folder such as runs/quickstart/base/seed0")
    if study:
        raise RecordError(
            f"{folder}: was taken from the published study {study!r}, which has scores but no weights; to train them "
            "run the row without --study into another --output"
        )
    try:
        check(folder, ["weights.safetensors"], digests, "record.json")
    except FileFormatError as error:
        raise RecordError(f"{folder}/{error}; run the row again") from None
    return config


@dataclass(frozen=True)
class ConfigMatch:
    """A configuration that published weights fit.

    Attributes:
        name: Name of the configuration.
        others: Names of different configurations that fit as well.
        restorer: Its network, without weights.
        fit: The set of weights in the file that fits it.
    """

    name: str
    others: tuple[str, ...]
    restorer: Restorer
    fit: Fit


def find_config(
    file: Path, sets: Sequence[WeightSet], models: Mapping[str, Mapping[str, Any]], registry: Registry
) -> ConfigMatch:
    """Return the first of some configurations that has exactly the names and shapes of published weights.

    Args:
        file: Where the weights were read from, for messages.
        sets: The sets of weights in it, under their authors' names.
        models: Resolved configurations of a backbone, by name.
        registry: Where components are found.

    Raises:
        CheckpointError: No configuration fits; the message says which is nearest.
        ComponentError: None of the configurations can be built.
    """
    fits: dict[str, tuple[Restorer, Fit]] = {}
    errors: list[ComponentError] = []
    for name, model in models.items():
        try:
            restorer = build_on_meta(model, registry)
        except ComponentError as error:  # the options are for another size
            errors.append(error)
        else:
            fits[name] = restorer, best_fit(sets, restorer)
    if not fits:
        raise errors[0]
    nearest = min(fits, key=lambda name: (len(fits[name][1].mismatch), bool(fits[name][1].mismatch)))
    restorer, fit = fits[nearest]
    if has_own_names(fit.source.tensors):
        raise CheckpointError(f"{file}: has the names of this project already; give it as model.weights as it is")
    if fit.mismatch.unusable:
        raise CheckpointError(f"{file}: cannot be used for {nearest}: {fit.mismatch}")
    if fit.mismatch:
        raise CheckpointError(
            f"{file}: fits none of {', '.join(fits)}; nearest is {nearest}: {fit.mismatch}; "
            "if it is of another size, describe it by options, e.g. --option width=16"
        )
    same = [name for name, (_, other) in fits.items() if not other.mismatch and models[name] != models[nearest]]
    return ConfigMatch(nearest, tuple(same), restorer, fit)
