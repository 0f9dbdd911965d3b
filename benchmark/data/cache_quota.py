"""Room on the disk for caches: what one will take, what all may take, and what killed builds left behind."""

import fcntl
import logging
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.data import Pair
from benchmark.errors import DataError

BUILDING = ".building-"
"""What the names of folders begin with in which a cache is being built."""
ALIVE = "alive"
"""A file in such a folder that its builder holds locked; the system lets go of it however the process ends."""

_LIMIT_VARIABLE = "BENCHMARK_CACHE_GB"
_GB = 10**9
_LOG = logging.getLogger(__name__)


def watched(pairs: Iterator[Pair], count: int, root: Path) -> Iterator[Pair]:
    """The same pairs, once it is clear from the first that `count` of them fit below `root`.

    A cache of a gigabyte or more is announced. Raises DataError if it would not fit on the disk, or if all caches
    together would take more than `$BENCHMARK_CACHE_GB`. Images of other sizes than the first make this an estimate.
    """
    for index, pair in enumerate(pairs):
        if index == 0:
            _announce(pair_bytes(pair) * count, count, root)
        yield pair


def pair_bytes(pair: Pair) -> int:
    """Bytes a pair takes in a cache."""
    arrays = (pair.degraded, pair.target, pair.gain, pair.spots)
    return sum(array.nbytes for array in arrays if array is not None)


def _announce(expected_bytes: int, count: int, root: Path) -> None:
    size = f"the cache of {count} pairs takes about {_size(expected_bytes)}"
    free_bytes, limit_bytes = shutil.disk_usage(root).free, _limit_bytes()
    if expected_bytes > free_bytes:
        raise DataError(f"{root}: {size}, {_size(free_bytes)} are free; free space or set BENCHMARK_CACHE")
    if limit_bytes is not None:
        others_bytes = sum(_bytes_of(file) for file in root.rglob("*.npy"))
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


def _bytes_of(file: Path) -> int:
    with suppress(OSError):  # another process may have renamed or removed it meanwhile
        return file.stat().st_size
    return 0


@contextmanager
def marked_alive(folder: Path) -> Generator[None]:
    """While inside, other processes see that a cache is being built in this folder. Raises OSError."""
    locked = folder / f"{ALIVE}.new"
    with locked.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        locked.rename(folder / ALIVE)  # under its name only when locked: else it could be taken for one left behind
        yield


def remove_killed_builds(root: Path) -> None:
    """Remove what builds left that were killed before they could clean up."""
    for file in root.glob(f"{BUILDING}*/{ALIVE}"):
        with suppress(OSError), file.open() as handle:  # BlockingIOError: its builder is alive
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)
