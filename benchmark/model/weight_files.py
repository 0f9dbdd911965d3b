"""Files of weights, read by content, as data and never as code: those of this project, and checkpoints of others."""

import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from benchmark.errors import CheckpointError, RecordError, root_cause
from benchmark.files import write_bytes
from benchmark.model.pickle_structure import check_structure
from reports.file_access import open_file

WRAPPERS = ("model_state_dict", "state_dict", "params", "model", "net")
"""Keys under which training programs keep the weights, preferred first; an average (`params_ema`) comes before all."""
_AVERAGE = re.compile(r"(^|[._])(ema|swa|averaged?)($|[._])")
_NOT_WEIGHTS = re.compile("optim|sched|scaler")
_DEPTH = 2
"""Mappings in mappings are searched this deep: `{"ema": {"module": {...}}}`."""
_PREFIX_PARTS = 3
"""Parts of a prefix at most: `module._orig_mod.` has two."""
_PREFIX_SHARE = 0.2
"""Share of the keys that a prefix must stand before: less is a part of a network, not its wrapper."""
_EXPANSION = 4
"""Unpacked, a zip file may be this many times its size: torch does not compress at all."""
_SHOWN_CHARACTERS = 120
_OLD_PICKLES = 5
"""Magic number, version, system, content, and the keys of the storages."""


def weight_bytes(network: nn.Module, dtype: torch.dtype, metadata: dict[str, str] | None = None) -> bytes:
    """Return the exported file of a network: its state dict as safetensors.

    Args:
        network: Any module.
        dtype: Type of the floating-point tensors in the file; integers keep theirs.
        metadata: Texts for the header of the file.
    """
    return save({name: _exported(tensor, dtype) for name, tensor in network.state_dict().items()}, metadata)


def _exported(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().to("cpu")
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()


def write_weights(network: nn.Module, file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write the state dict in float32, whole or not at all, with `metadata` in the header of the file."""
    write_bytes(file, weight_bytes(network, torch.float32, metadata))


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return the state dict in a safetensors file, on the CPU.

    Raises:
        RecordError: The file is missing or damaged.
    """
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{file}: weights cannot be read: {error}") from None


@dataclass(frozen=True)
class WeightSet:
    """Weights in a checkpoint, under their authors' names.

    Attributes:
        name: Where they are in the file, e.g. `params_ema`, or `state_dict: generator.*`.
        tensors: The weights, without the prefix in `name`.
        others: How many tensors beside them have another prefix.
    """

    name: str
    tensors: Mapping[str, Tensor]
    others: int = 0


def read_checkpoint(file: Path) -> list[WeightSet]:
    """Return all sets of tensors in a checkpoint from elsewhere that may be a network's, on the CPU, averages first.

    Reads what `torch.save` writes, and safetensors, whatever the file is called. A file may hold several networks, an
    average beside the last step, and names with prefixes of wrappers: which of them is meant shows the network that
    they fit. Other things that training programs keep beside the weights are passed over.

    Raises:
        CheckpointError: The file is unreadable, holds objects that only code could restore, or holds no weights.
    """
    content = _content(file)
    mappings = list(_tensor_mappings(content, ()))
    if not mappings:
        kind = "an empty mapping" if isinstance(content, Mapping) and not content else f"a {type(content).__name__}"
        raise CheckpointError(
            f"{file}: holds no weights, but {kind}; expected tensors by name, bare or in {', '.join(WRAPPERS)}"
        )
    sets = [part for path, tensors in mappings for part in _with_prefixes(path, tensors)]
    return sorted(sets, key=lambda part: _AVERAGE.search(part.name) is None)


def shown(key: object) -> str:
    """Return a key of a file for a message: on one line, printable and short, whatever the file holds."""
    text = key if isinstance(key, str) and key.isprintable() else ascii(key)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _tensor_mappings(content: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Yield the mappings that hold tensors by name, with the keys that lead to them, the usual keys first."""
    if not isinstance(content, Mapping):
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    for key in sorted(named, key=lambda key: WRAPPERS.index(key) if key in WRAPPERS else len(WRAPPERS)):
        if len(path) < _DEPTH and not _NOT_WEIGHTS.search(key):
            yield from _tensor_mappings(named[key], (*path, key))
    if tensors := {key: value for key, value in named.items() if isinstance(value, Tensor) and not value.is_nested}:
        yield path, tensors


def _with_prefixes(path: tuple[str, ...], tensors: Mapping[str, Tensor]) -> Iterator[WeightSet]:
    """Yield the tensors of a mapping as they are, then those below each prefix that many of their keys have."""
    place = ".".join(map(shown, path)) or "the file's top level"
    yield WeightSet(place, tensors)
    parts = [key.split(".") for key in tensors]
    counts = Counter(
        ".".join(key[:length]) + "." for key in parts for length in range(1, min(len(key), _PREFIX_PARTS + 1))
    )
    for prefix, count in counts.items():
        if count >= _PREFIX_SHARE * len(tensors):
            below = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
            yield WeightSet(f"{place}: {shown(prefix)}*", below, len(tensors) - len(below))


class _Inert:
    """Stands for a number or array of NumPy, as training programs keep them beside the weights; it does nothing."""

    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


_NUMPY_NAMES = (
    *("numpy.dtype", "numpy.ndarray"),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
)


def _content(file: Path) -> Any:
    """Return what a file holds, read by the format that its first bytes show."""
    try:
        with open_file(file) as handle:
            start, size = handle.read(9), file.stat().st_size
            if start[8:] == b"{" and int.from_bytes(start[:8], "little") < size:
                return load_file(file)
            if start.startswith(b"PK"):
                _check_unpacked_size(file, size)
            _check_pickles(file, handle)
            handle.seek(0)
            inert = torch.serialization.safe_globals([(_Inert, name) for name in _NUMPY_NAMES])
            with inert, warnings.catch_warnings(action="ignore"):  # old formats are read all the same, or refused below
                return torch.load(handle, map_location="cpu", weights_only=True)  # by name it would go by the ending
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a file from others may be broken in any way
        raise CheckpointError(f"{file}: {_reason(error)}") from None


def _check_unpacked_size(file: Path, size: int) -> None:
    """Refuse a zip file that would fill the memory, before anything of it is unpacked."""
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > _EXPANSION * size:
        raise CheckpointError(
            f"its {size:,} bytes would become {unpacked:,}, so it is not read; save it by torch.save, "
            "which does not compress"
        )


def _check_pickles(file: Path, handle: io.BufferedReader) -> None:
    """Check the structure of the pickles that PyTorch would read: one in a zip file, five in the old format."""
    if zipfile.is_zipfile(handle):
        with zipfile.ZipFile(file) as archive:
            for entry in (entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")):
                check_structure(io.BytesIO(archive.read(entry)))
        return
    handle.seek(0)
    for _ in range(_OLD_PICKLES):
        if handle.peek(1):
            check_structure(handle)


def _reason(error: Exception) -> str:
    if isinstance(error, CheckpointError):
        return str(error)
    if refused := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"holds {shown(refused[1])}, which could run code, so it is not read; if you trust it, load it elsewhere "
            "and save its tensors alone"
        )
    if "TorchScript" in str(error):
        return "is a TorchScript program, which is code, so it is not read; save the state_dict of its module"
    kind = f"{type(error).__name__}: {shown(root_cause(error))}"
    return f"is not a readable checkpoint ({kind}); expected what torch.save writes, or safetensors"
