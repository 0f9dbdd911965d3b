"""Weights on disk: safetensors, so that a file from others is data and never code."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from benchmark.errors import RecordError
from benchmark.files import write_bytes


def weight_bytes(network: nn.Module, dtype: torch.dtype, about: dict[str, str] | None = None) -> bytes:
    """The exported file of a network: its whole state dict, floating-point tensors as `dtype`; `about`: its header."""
    return save({name: _exported(tensor, dtype) for name, tensor in network.state_dict().items()}, about)


def write_weights(network: nn.Module, file: Path, about: dict[str, str] | None = None) -> None:
    """Write the state dict in float32, whole or not at all; `about` goes into the header of the file."""
    write_bytes(file, weight_bytes(network, torch.float32, about))


def is_intact(file: Path) -> bool:
    """Whether a weights file is there and whole (its header is checked against its length)."""
    try:
        with safe_open(file, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def read_weights(file: Path) -> dict[str, Tensor]:
    """The state dict in a file. Raises RecordError if it is missing or damaged."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{file}: weights cannot be read: {error}") from None


def _exported(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().to("cpu")
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
