"""Health of caches: are they what was written? Damaged ones are set aside, and what killed builds left is removed."""

import logging
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmark.errors import DataError
from benchmark.files import digest_of
from benchmark.kept_values import read_checked
from benchmark.lease import LeaseFolder

ARRAYS: Final = "arrays.bin"
INDEX: Final = "index.json"
BUILD_PREFIX: Final = ".building-"
"""The names of folders in which a cache is being built begin with it."""
DAMAGED_PREFIX: Final = ".damaged-"
"""The names of caches that were set aside begin with it."""
LEASE: Final = "build"
"""The lease that a builder holds in the folder of its cache."""
_ABANDONED_SECONDS = 3600.0
"""A builder on another host, or before a restart of this one, renewed the folder within this time if it is alive."""
_LOG = logging.getLogger(__name__)


def is_sound(folder: Path) -> bool:
    """Return whether a cache is there and is what was written; set a damaged one aside.

    Raises:
        DataError: the cache belongs to someone who lets nobody read it, or is damaged and cannot be set aside.
    """
    try:
        inode = folder.stat().st_ino
        damaged = _damaged_file(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(
            f"{folder}: the cache cannot be read ({error.strerror}); its owner can permit it, "
            "or set BENCHMARK_CACHE to a folder of your own"
        ) from None
    if damaged is not None:
        _set_aside(folder, inode, damaged)
    return damaged is None


def _damaged_file(folder: Path) -> Path | None:
    """Return the file of a cache that is not what was written, if any."""
    index, arrays = read_checked(folder / INDEX), folder / ARRAYS
    if index is None:
        return folder / INDEX
    return None if arrays.is_file() and digest_of(arrays) == index["sha256"] else arrays


def _set_aside(folder: Path, inode: int, damaged: Path) -> None:
    aside = folder.with_name(DAMAGED_PREFIX + folder.name)
    try:
        with suppress(FileNotFoundError):
            if folder.stat().st_ino == inode:  # else another process has set it aside, and this is its new one
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
                _LOG.warning("%s: not what was written; the cache is set aside in %s and made again", damaged, aside)
    except OSError as error:
        raise DataError(
            f"{damaged}: not what was written, and the cache cannot be set aside ({error.strerror}); delete the "
            "folder, or set BENCHMARK_CACHE to another one"
        ) from None


def remove_killed_builds(root: Path) -> None:
    """Remove what builds left that were killed before they could clean up."""
    for lease_file in root.glob(f"{BUILD_PREFIX}*/{LEASE}.1"):
        folder = lease_file.parent
        with suppress(OSError):  # another process may remove it, too
            with LeaseFolder(folder).hold(LEASE) as lease:  # None while its builder is alive
                is_dead = lease is not None or time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS
            if is_dead:
                shutil.rmtree(folder, ignore_errors=True)
