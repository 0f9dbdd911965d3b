"""Files of weights, read as data and never as code: safetensors of this project, checkpoints that others publish."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from benchmark.errors import CheckpointError, RecordError
from benchmark.files import write_bytes

WRAPPERS = ("model_state_dict", "state_dict", "params_ema", "params", "model", "net")
"""Keys under which training programs keep the weights, preferred first.

Where a file has `params_ema` beside `params`, the average is what the authors evaluated.
"""


def weight_bytes(network: nn.Module, dtype: torch.dtype, metadata: dict[str, str] | None = None) -> bytes:
    """Return the exported file of a network: its state dict as safetensors.

    Args:
        network: Any module.
        dtype: Type of the floating-point tensors in the file; integers keep theirs.
        metadata: Texts for the header of the file.
    """
    return save({name: _exported(tensor, dtype) for name, tensor in network.state_dict().items()}, metadata)


def write_weights(network: nn.Module, file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write the state dict in float32, whole or not at all, with `metadata` in the header of the file."""
    write_bytes(file, weight_bytes(network, torch.float32, metadata))


def is_intact(file: Path) -> bool:
    """Return whether a safetensors file exists and is whole (its header is checked against its length)."""
    try:
        with safe_open(file, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return the state dict in a safetensors file, on the CPU.

    Raises:
        RecordError: The file is missing or damaged.
    """
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{file}: weights cannot be read: {error}") from None


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """Return the weights in a checkpoint from elsewhere, on the CPU, under their authors' names.

    Reads what `torch.save` writes, and safetensors. A wrapper (see `WRAPPERS`) and a `module.` that all names begin
    with are removed.

    Raises:
        CheckpointError: The file is unreadable, holds objects that only code could restore, or holds no weights.
    """
    content = _load(file)
    if isinstance(content, Mapping):
        content = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{file}: holds no weights, but {_kind(content)}; expected tensors by name")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{file}: {key!r} is {_kind(value)}, not a tensor; expected weights, bare or in {', '.join(WRAPPERS)}"
            )
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {key.removeprefix(prefix): value for key, value in content.items()}


def _exported(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().to("cpu")
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()


def _load(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old formats are read all the same, or refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a file from others may be broken in any way
        raise CheckpointError(f"{file}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return (
            f"holds {refused[1]}, which could run code, so it is not read; if you trust it, load it elsewhere and save "
            "its tensors alone"
        )
    return f"is not a readable checkpoint ({type(error).__name__}); expected what torch.save writes, or safetensors"


def _kind(value: object) -> str:
    return "an empty mapping" if isinstance(value, Mapping) and not value else f"a {type(value).__name__}"
