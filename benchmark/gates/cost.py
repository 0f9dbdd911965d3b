"""What a network costs: parameters, multiply-adds, bytes of weights, and memory, counted or measured.

`cost` counts the network as it is shipped, folded for inference; the other functions count the network they are given.
"""

import copy
import ctypes
import platform
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from benchmark.model import Restorer
from benchmark.model.restorer import fold
from benchmark.model.weight_files import weight_bytes
from reports.schema import ModelCost

REFERENCE_IMAGE = (256, 256)
"""Height and width for which multiply-adds are reported, as is the custom of the field."""
_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_WEIGHT_COPIES = 4
"""In training: weights, gradients, and the two moments of AdamW."""


def cost(restorer: Restorer) -> ModelCost:
    """Return what a network costs once it is folded, unrounded; without the names and citations of its components.

    File sizes are those of safetensors. The network stays as it is.
    """
    folded = fold(restorer)
    return ModelCost(
        params=parameters(folded),
        macs=macs(folded, REFERENCE_IMAGE),
        macs_shape=(1, 3, *REFERENCE_IMAGE),
        weight_bytes={dtype: len(weight_bytes(folded, getattr(torch, dtype))) for dtype in ("float32", "float16")},
    )


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(restorer: Restorer, image: tuple[int, int]) -> int:
    """Return the multiply-adds of convolutions and matrix products for one image (height, width).

    They are counted at ATen level on the meta device, so attention products count and nothing is computed; norms,
    activations and resizing do not count. The counter counts two operations for each multiply-add.
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import

    on_meta = copy.deepcopy(restorer).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        on_meta(torch.empty(1, 3, *image, device="meta"))
    return counter.get_total_flops() // 2


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensor storages that are made inside the block and alive at the same time.

    It sees tensors, not the scratch space of kernels, so it is a lower bound of what a device allocates.
    """

    def __init__(self, ignored: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._live: set[int] = set()
        self._ignored = {_identity(tensor.untyped_storage()) for tensor in ignored}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = _identity(storage), storage.nbytes()
        if key not in self._live and key not in self._ignored:
            self._live.add(key)
            self._now += size
            self.peak = max(self.peak, self._now)
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._live.remove(key)
        self._now -= size


def _identity(storage: torch.UntypedStorage) -> int:
    """Return what all views of a storage share; on the meta device `data_ptr` is 0 for all."""
    return storage._cdata  # pyright: ignore[reportPrivateUsage]  # there is no public name for it


def activation_bytes(restorer: Restorer, shape: tuple[int, int, int, int], *, training: bool) -> int:
    """Return the peak bytes of feature maps for a float32 batch `B 3 H W`, forward, and in training backward, too.

    They are counted on the meta device: nothing is computed and nothing of that size is allocated.
    """
    on_meta = copy.deepcopy(restorer).to("meta").train(training)
    image = torch.empty(shape, device="meta")
    live = _LiveBytes([*on_meta.parameters(), *on_meta.buffers(), image])
    with torch.set_grad_enabled(training), live:
        restored = on_meta(image).image
        if training:
            restored.mean().backward()
    return live.peak


def training_bytes(restorer: Restorer, batch: int, patch: int, precision: str = "float32") -> int:
    """Return a lower bound of the bytes of a training step.

    It needs feature maps, and weights with gradients and moments of AdamW in float32. Under autocast to half precision
    some maps stay float32, so all maps together need at least half of their float32 size.
    """
    weights = sum(parameter.numel() * parameter.element_size() for parameter in restorer.parameters())
    maps = activation_bytes(restorer, (batch, 3, patch, patch), training=True)
    return (maps // 2 if precision in ("bfloat16", "float16") else maps) + _WEIGHT_COPIES * weights


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak that `peak_memory_bytes` returns, as far as the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # Linux, where it is allowed
            _CLEAR_REFS.write_text("5")


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory since it was reset: on a GPU of tensors, on the CPU the resident memory of this process.

    Where the peak of the process cannot be reset (not Linux), it is the highest since the process began; 0 where the
    system does not say.
    """
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _peak_resident_bytes()


def restoring_ram_bytes(network: nn.Module, image: tuple[int, int], device: torch.device) -> int:
    """Return the peak resident memory of this process, Python and torch included, restoring one image (H, W)."""
    if platform.libc_ver()[0] == "glibc":  # it keeps memory of earlier networks, which must not count for this one
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    reset_peak_memory(torch.device("cpu"))
    _restore_one(network, image, device)
    return _peak_resident_bytes()


def restoring_gpu_bytes(network: nn.Module, image: tuple[int, int], device: torch.device) -> int:
    """Return the peak memory torch reserves on the GPU, without CUDA's own context, restoring one image (H, W)."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    _restore_one(network, image, device)
    return torch.cuda.max_memory_reserved(device)


@torch.inference_mode()
def _restore_one(network: nn.Module, image: tuple[int, int], device: torch.device) -> None:
    was_training = network.training
    network.eval()(torch.zeros(1, 3, *image, device=device))
    network.train(was_training)


def _peak_resident_bytes() -> int:
    if _STATUS.exists():
        marks = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(marks[0]) * 1024
    try:
        import resource  # POSIX only
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024  # macOS counts bytes, others kilobytes
