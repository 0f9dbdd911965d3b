"""Weights that a model starts from: the file that an experiment names, identified by its content."""

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from benchmark.errors import CheckpointError, shown
from benchmark.experiment.document import Document, value_at
from benchmark.experiment.schema import ResolvedModel, WeightsFile
from benchmark.files import digest_of, read_json

MODEL_IN_HEADER = "restoration-benchmark model"
"""Under this key the header of an imported file holds backbone and head as JSON."""
_FILE = "weights.safetensors"
"""Name of the weights in a record folder, beside `record.json`."""
_SETTINGS = (
    r"(tables\.[^.]+\.[^.]+\.)?model\.weights|search\.parameters\.model\.weights\.choices\.\d+"
    r"|search\.sampler\.registry"
)
"""Settings that are paths. Those of sources are options of components, which `resolve` knows."""


def with_absolute_paths(document: Document) -> Document:
    """Return the document with absolute paths in these settings, so that it means the same in another folder.

    Paths in an experiment file are relative to it; those of `--set` to the current folder.
    """
    data = copy.deepcopy(document.data)
    for path in document.places:
        parent = value_at(data, path[:-1])
        if re.fullmatch(_SETTINGS, ".".join(map(str, path))) and isinstance(value_at(parent, path[-1:]), str):
            parent[path[-1]] = str((document.folder(path) / parent[path[-1]]).resolve())
    return Document(data, document.places)


def resolve_weights(path: str, model: ResolvedModel) -> WeightsFile:
    """Return file and digest of the weights for a model. `path`: a file, or the folder of a trained row.

    Names and shapes of tensors do not show another padding or activation, so the options are compared where the file
    or the record beside it has them.

    Raises:
        CheckpointError: there is no such file, or it belongs to a model with other options.
    """
    file = Path(path) / _FILE if os.path.isdir(path) else Path(path)  # noqa: PTH112  # too long a name is no folder
    expected = "expected a checkpoint, or the folder of a trained row"
    try:
        digest = digest_of(file)
    except OSError as error:
        raise CheckpointError(f"{shown(str(file))}: {error.strerror}; {expected}") from None
    record = read_json(file.with_name("record.json")) if file.name == _FILE else None
    if value_at(record, ("files", _FILE)) not in (None, digest):
        raise CheckpointError(f"{file}: is damaged: its SHA-256 is not the one in record.json; run that row again")
    _check_same(file, _model_of(file, record), model)
    return WeightsFile(file=str(file), sha256=digest)


def _model_of(file: Path, record: Any) -> Any:
    """Return the model that weights belong to, from the record beside them or from their header; None if unknown."""
    return model_in_header(file) if record is None else value_at(record, ("config", "model"))


def model_in_header(file: Path) -> Any:
    """Return the model that the header of a safetensors file names, as plain data; None if it names none."""
    try:
        with safe_open(file, "numpy") as handle:
            return json.loads((handle.metadata() or {}).get(MODEL_IN_HEADER, "null"))
    except (OSError, ValueError, RecursionError, SafetensorError):  # reading the weights later reports it
        return None


def _check_same(file: Path, recorded: Any, model: ResolvedModel) -> None:
    for kind, component in (("backbone", model.backbone), ("head", model.head)):
        options = component.model_dump(mode="json")
        belonging = value_at(recorded, (kind,))
        for option, value in belonging.items() if isinstance(belonging, dict) else ():
            if options.get(option) != value:
                raise CheckpointError(
                    f"{file}: belongs to a model with {option} {json.dumps(value)} in its {kind}, model.{kind} has "
                    f"{json.dumps(options.get(option))}; describe it as it is"
                )
