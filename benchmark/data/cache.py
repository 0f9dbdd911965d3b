"""Cache of pairs and clean faces: decoded or rendered once, then read from a memory map.

A cache is a folder named after the fingerprint of what it holds: all arrays one after the other in `arrays.bin`, and
their names, types and places in `index.json`, which is written last and holds the SHA-256 of both. It is built under a
temporary name and renamed when it is whole, so a killed build leaves nothing that could be mistaken for a cache, and
two builders do not harm each other. A process checks the SHA-256 when it opens a cache for the first time; a damaged
cache is set aside and made again.
"""

import errno
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.data import CleanFace, Dataset, Item, Pair, Source, pixel_digest
from benchmark.data.cache_health import (
    ARRAYS,
    BUILD_PREFIX,
    INDEX,
    LEASE,
    is_sound,
    remove_killed_builds,
)
from benchmark.data.cache_quota import arrays_of, check_disk_quota
from benchmark.data.image_io import bit_depth_warning, parallel_map
from benchmark.errors import DISK_FULL, DataError, system_error
from benchmark.kept_values import read_checked, write_checked
from benchmark.lease import LeaseFolder

_FORMAT = 3
_ALIGNMENT_BYTES = 64
_LOG = logging.getLogger(__name__)
_OF_THE_FOLDER = DISK_FULL | {
    errno.EACCES,
    errno.EEXIST,
    errno.EIO,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""Error numbers that another folder would not have."""


class CachedItems(Dataset[Item]):
    """Items read from their cache. Reading one opens no file and decodes nothing."""

    def __init__(self, folder: Path, item_type: type[Item]) -> None:
        self._folder = folder
        self._item_type = item_type

    def __len__(self) -> int:
        return len(self._index["items"])

    def __reduce__(self) -> tuple[type["CachedItems[Item]"], tuple[Path, type[Item]]]:
        # Without the map: the process that unpickles it opens its own.
        return type(self), (self._folder, self._item_type)

    def read(self, index: int) -> Item:
        """Return item number `index`; its arrays are read-only views of the memory map."""
        entry = self._index["items"][index]
        arrays = {
            key: np.ndarray(shape, dtype, self._bytes, offset)
            for key, (dtype, offset, shape) in entry["arrays"].items()
        }
        return self._item_type(entry["name"], **arrays, **entry.get("numbers", {}))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of what was cached."""
        return self._index["fingerprint"]

    def image_digests(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield the name of each item and, by role, the digests of its images."""
        for entry in self._index["items"]:
            yield entry["name"], entry["images"]

    @cached_property
    def _index(self) -> dict[str, Any]:
        index = read_checked(self._folder / INDEX)
        if index is None:
            raise DataError(f"{self._folder}: the cache was removed or damaged meanwhile; start the command again")
        return index

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        return np.memmap(self._folder / ARRAYS, np.uint8, mode="r")


class CachedSource(CachedItems[Pair], Source):
    """The pairs of a source, read from their cache."""

    origin: ClassVar[str] = "a cache of another source"


def cached(
    source: Source,
    root: Path,
    workers: int,
    plugins: Sequence[Path] = (),
    on_progress: Callable[[int], None] = lambda count: None,
) -> Source:
    """Return a source that reads from its cache below `root`; build the cache if it is missing or damaged.

    Of a source made from parts, the parts are cached.

    Args:
        source: what to cache.
        root: the folder of all caches.
        workers: number of processes that decode or render.
        plugins: files that define sources of the user.
        on_progress: called with the number of items that are ready, after each of them.

    Raises:
        DataError: an item cannot be read, or the cache cannot be read or written, does not fit on the disk or would
            exceed `$BENCHMARK_CACHE_GB`.
    """
    if not source.parts:
        return CachedSource(_obtain_folder(source, root, workers, plugins, on_progress), Pair)
    ready: list[Dataset[Any]] = []
    for part in source.parts:
        before = sum(map(len, ready))

        def on_part(count: int, before: int = before) -> None:
            on_progress(before + count)

        if isinstance(part, Source):
            ready.append(cached(part, root, workers, plugins, on_part))
        else:
            ready.append(CachedItems(_obtain_folder(part, root, workers, plugins, on_part), CleanFace))
    return source.with_parts(ready)


def cache_of(data: Dataset[Any], root: Path) -> Path:
    """Return the folder below `root` where the cache of the items is, or would be."""
    return root / f"{type(data).__name__}-{data.fingerprint[:32]}-{_FORMAT}"


def _obtain_folder(
    data: Dataset[Any], root: Path, workers: int, plugins: Sequence[Path], on_progress: Callable[[int], None]
) -> Path:
    """Return the folder of a cache; build it if it is missing or damaged."""
    folder = cache_of(data, root)
    if is_sound(folder):
        return folder
    temporary = root / f"{BUILD_PREFIX}{secrets.token_hex(8)}"
    with _writing(root):
        try:
            temporary.mkdir(parents=True)
            remove_killed_builds(root)
            with LeaseFolder(temporary).hold(LEASE):
                if warning := bit_depth_warning(data.files):
                    _LOG.warning(warning)
                items = check_disk_quota(_items(data, workers, plugins), len(data), root)
                _write(items, data.fingerprint, temporary, on_progress)
                _publish(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


@contextmanager
def _writing(root: Path) -> Generator[None]:
    """Turn what goes wrong with the files of the cache into an error that says so."""
    try:
        yield
    except BrokenPipeError:  # of the terminal that shows the progress
        raise
    except OSError as error:
        if error.errno in _OF_THE_FOLDER:
            way_out = f"the cache cannot be written: {system_error(error)}; or set BENCHMARK_CACHE to another folder"
        else:  # no memory, too many open files, ...: another folder would not help
            way_out = f"the cache cannot be made: {system_error(error)}"
        raise DataError(f"{root}: {way_out}") from None


def _items(data: Dataset[Any], workers: int, plugins: Sequence[Path]) -> Iterator[Any]:
    """Yield all items; an OSError of a source, or of starting processes, is none of the cache's files."""
    try:
        yield from parallel_map(data.read, len(data), workers, plugins)
    except OSError as error:
        raise DataError(f"{type(data).__name__}: the items cannot be read: {system_error(error)}") from error


def _write(
    items: Iterator[Pair | CleanFace], fingerprint: str, folder: Path, on_progress: Callable[[int], None]
) -> None:
    entries: list[dict[str, Any]] = []
    digest, position = hashlib.sha256(), 0
    with (folder / ARRAYS).open("wb") as file:
        for item in items:
            places: dict[str, Any] = {}
            for key, array in arrays_of(item).items():
                padding, content = bytes(-position % _ALIGNMENT_BYTES), array.tobytes()
                places[key] = (array.dtype.str, position + len(padding), array.shape)
                for part in (padding, content):
                    digest.update(part)
                    position += file.write(part)
            images = {role: pixel_digest(image) for role, image in item.images.items()}
            numbers = {} if item.skin_tone is None else {"skin_tone": item.skin_tone}
            entries.append({"name": item.name, "arrays": places, "images": images, "numbers": numbers})
            on_progress(len(entries))
        file.flush()
        os.fsync(file.fileno())
    write_checked(folder / INDEX, {"fingerprint": fingerprint, "sha256": digest.hexdigest(), "items": entries})


def _publish(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
        for file in folder.glob(f"*{LEASE}.*"):
            file.unlink()
    except OSError:
        if not (folder / INDEX).is_file():  # else another process was faster: its cache is as good
            raise
