"""Weights that a model starts from, as an experiment names them: a file, known by its content."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from benchmark.errors import CheckpointError
from benchmark.experiment.document import Document, Path_
from benchmark.files import digest_of, read_json

MODEL_IN_HEADER = "restoration-benchmark model"
"""Under this key the header of an imported file holds backbone and head as JSON."""
_FILE = "weights.safetensors"
"""Of a record folder, where `record.json` lies beside it."""
_SETTINGS = r"(tables\.[^.]+\.[^.]+\.)?model\.weights|search\.parameters\.model\.weights\.choices\.\d+"


def with_absolute_weights(document: Document) -> Document:
    """The document with files of weights by absolute path, so that it means the same in another folder.

    In an experiment file they are relative to it; those of `--set` to where the command is called.
    """
    data = copy.deepcopy(document.data)
    for path in document.places:
        above = _at(data, path[:-1])
        if re.fullmatch(_SETTINGS, ".".join(map(str, path))) and isinstance(_at(above, path[-1:]), str):
            above[path[-1]] = str((document.folder(path) / above[path[-1]]).resolve())
    return Document(data, document.places)


def resolve_weights(named: str, model: Mapping[str, Any]) -> dict[str, str]:
    """File and digest of the weights for a resolved model. `named`: a file, or the folder of a trained row.

    Raises CheckpointError if there is no such file, or it is known to belong to a model with other options: names and
    shapes would not tell of another padding or activation, and of another network only when it is built.
    """
    path = Path(named)
    file = path / _FILE if path.is_dir() else path
    try:
        digest = digest_of(file)
    except OSError as error:
        raise CheckpointError(
            f"{file}: {error.strerror}; expected a checkpoint, or the folder of a trained row"
        ) from None
    _check_same(file, _model_of(file), model)
    return {"file": str(file), "sha256": digest}


def without_file(model: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved model whose weights are known by their digest alone: where they lie changes no result."""
    if "weights" not in model:
        return dict(model)
    return {**model, "weights": model["weights"]["sha256"]}


def _model_of(file: Path) -> Any:
    """The model that weights belong to, if that is known: by the record beside them, or by their header."""
    record = read_json(file.with_name("record.json")) if file.name == _FILE else None
    if record is not None or file.suffix != ".safetensors":
        return _at(record, ("config", "model"))
    try:
        with safe_open(file, "numpy") as handle:
            return json.loads((handle.metadata() or {}).get(MODEL_IN_HEADER, "null"))
    except (OSError, ValueError, SafetensorError):  # whoever reads the weights will tell
        return None


def _check_same(file: Path, recorded: Any, model: Mapping[str, Any]) -> None:
    for kind in ("backbone", "head"):
        for option, value in (_at(recorded, (kind,)) or {}).items():
            described = model[kind].get(option)
            if described != value:
                raise CheckpointError(
                    f"{file}: belongs to a model with {option} {json.dumps(value)} in its {kind}, model.{kind} has "
                    f"{json.dumps(described)}; describe it as it is"
                )


def _at(data: Any, path: Path_) -> Any:
    """What stands at a path; None if nothing does."""
    for part in path:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data
