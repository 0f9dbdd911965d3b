"""Files of weights from elsewhere, read as data and never as code: what the authors of networks publish."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmark.errors import CheckpointError

WRAPPERS = ("model_state_dict", "state_dict", "params_ema", "params", "model", "net")
"""Keys under which training programs keep the weights, the preferred first: beside `params`, `params_ema` is the
average that was evaluated."""


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint under their authors' names, on the CPU, without wrapper and common `module.`.

    Anything `torch.save` writes, or safetensors. Raises CheckpointError if the file is unreadable, holds objects that
    only code could restore, or no weights.
    """
    loaded = _load(file)
    if isinstance(loaded, Mapping):
        wrapper = next((name for name in WRAPPERS if isinstance(loaded.get(name), Mapping)), None)
        loaded = loaded[wrapper] if wrapper else loaded
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(f"{file}: holds no weights, but {_kind(loaded)}; expected tensors by name")
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            known = ", ".join(WRAPPERS)
            raise CheckpointError(f"{file}: {key!r} is {_kind(value)}, no tensor; expected weights, bare or in {known}")
    return _without_common_prefix(dict(loaded), "module.")


def _load(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old forms are read all the same, or refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a file from others: there is no telling how it is broken
        raise CheckpointError(f"{file}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return (
            f"holds {refused[1]}, which could run code, so it is not read; if you trust it, load it elsewhere and save "
            "its tensors alone"
        )
    return (
        f"is no checkpoint that can be read ({type(error).__name__}); expected what torch.save writes, or safetensors"
    )


def _without_common_prefix(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if not all(key.startswith(prefix) for key in weights):
        return weights
    return {key.removeprefix(prefix): value for key, value in weights.items()}


def _kind(value: object) -> str:
    return "an empty mapping" if isinstance(value, Mapping) and not value else f"a {type(value).__name__}"
