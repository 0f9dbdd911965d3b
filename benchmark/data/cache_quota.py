"""What caches may take: the free space of the disk, and `$BENCHMARK_CACHE_GB` for all of them together."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Item
from benchmark.errors import DataError, counted

_LIMIT_VARIABLE = "BENCHMARK_CACHE_GB"
_GB = 10**9
_LOG = logging.getLogger(__name__)


def arrays_of(item: object) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of a pair or face, by the names of its fields."""
    return {key: value for key, value in vars(item).items() if isinstance(value, np.ndarray)}


def check_disk_quota(items: Iterator[Item], count: int, root: Path) -> Iterator[Item]:
    """Yield the items; after the first, check that `count` of them fit below `root`.

    A cache of a gigabyte or more is announced. If images differ in size this is an estimate.

    Raises:
        DataError: the cache would not fit on the disk, or all caches together would exceed `$BENCHMARK_CACHE_GB`.
    """
    for index, item in enumerate(items):
        if index == 0:
            _check_space(count * sum(array.nbytes for array in arrays_of(item).values()), count, root)
        yield item


def _check_space(expected_bytes: int, count: int, root: Path) -> None:
    size = f"the cache of {counted(count, 'pair')} takes about {_size(expected_bytes)}"
    free_bytes, limit_bytes = shutil.disk_usage(root).free, _limit_bytes()
    if expected_bytes > free_bytes:
        raise DataError(f"{root}: {size}, {_size(free_bytes)} are free; free space or set BENCHMARK_CACHE")
    if limit_bytes is not None:
        others_bytes = sum(_file_bytes(file) for file in root.glob("*/*"))
        if others_bytes + expected_bytes > limit_bytes:
            raise DataError(
                f"{root}: {size} beside {_size(others_bytes)} of others, "
                f"{_LIMIT_VARIABLE} allows {limit_bytes / _GB:g}; delete caches there or raise it"
            )
    if expected_bytes >= _GB:
        _LOG.warning("%s in %s; it can be deleted at any time", size, root)


def _size(count_bytes: float) -> str:
    return f"{count_bytes / _GB:.1f} GB" if count_bytes >= _GB else f"{count_bytes / 10**6:.1f} MB"


def _limit_bytes() -> float | None:
    text = os.environ.get(_LIMIT_VARIABLE)
    if not text:
        return None
    with suppress(ValueError):
        if float(text) > 0:
            return float(text) * _GB
    raise DataError(f"{_LIMIT_VARIABLE} is {text!r}; set it to a number of gigabytes above 0, or not at all")


def _file_bytes(file: Path) -> int:
    with suppress(OSError):  # another process may have renamed or removed it meanwhile
        return file.stat().st_size
    return 0
