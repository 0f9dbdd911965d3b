"""Settings of the process that decide how fast, and how exactly, networks run."""

import ctypes
import platform
from collections.abc import Generator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def set_up(threads: int, *, keep_memory: bool = True) -> str:
    """Set threads, exact float32, and the allocator of this process; gives the allocator's name.

    `kept`: freed memory stays with the process. `default`: it goes back to the system, and every page of every feature
    map costs a page fault when it is wanted again.
    """
    torch.set_num_threads(threads)
    # float32 means float32: by default convolutions on newer GPUs would drop to the 10-bit mantissa of TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return "kept" if keep_memory and _keep_memory() else "default"


def _keep_memory() -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL("libc.so.6")
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


@contextmanager
def threads_set(threads: int | None) -> Generator[None]:
    """torch computes with so many threads inside; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
