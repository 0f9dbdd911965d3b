"""Cache of pairs and clean faces: decoded or rendered once, then read from a memory map.

A cache is a folder named after the fingerprint of what it holds: all arrays one after the other in `arrays.bin`, and
their names, types and places in `index.json`. It is built under a temporary name and renamed when it is whole, so a
killed build leaves nothing that could be mistaken for a cache, and two builders do not harm each other.
"""

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from benchmark.data import CleanFace, Dataset, Item, Pair, Source
from benchmark.data.image_io import bit_depth_warning, parallel_map
from benchmark.errors import DataError, counted
from benchmark.lease import LeaseFolder

BUILD_PREFIX: Final = ".building-"
"""The names of folders in which a cache is being built begin with it."""
_LEASE = "build"
"""The lease, in such a folder, that its builder holds."""
_ABANDONED_SECONDS = 3600.0
"""A builder on another host, or before a restart of this one, renewed the folder within this time if it is alive."""
_ARRAYS, _INDEX, _FORMAT = "arrays.bin", "index.json", 2
_ALIGNMENT_BYTES = 64
_LIMIT_VARIABLE = "BENCHMARK_CACHE_GB"
_GB = 10**9
_LOG = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return `$BENCHMARK_CACHE`, else the user's cache folder; whatever lies there can be deleted at any time.

    A user without a home folder, e.g. in a container, gets a folder among the temporary files.
    """
    chosen = os.environ.get("BENCHMARK_CACHE")
    if chosen:
        return Path(chosen)
    folder = user_cache_path("restoration-benchmark", appauthor=False)
    return folder if folder.is_absolute() else Path(tempfile.gettempdir()) / folder.name  # `~` stays without a home


class CachedItems(Dataset[Item]):
    """Items read from their cache. Reading one opens no file and decodes nothing."""

    def __init__(self, folder: Path, item_type: type[Item]) -> None:
        self.folder = folder
        self._item_type = item_type

    def __len__(self) -> int:
        return len(self._index["items"])

    def __reduce__(self) -> tuple[type["CachedItems[Item]"], tuple[Path, type[Item]]]:
        return type(self), (
            self.folder,
            self._item_type,
        )  # without the map: the process that unpickles it opens its own

    def read(self, index: int) -> Item:
        """Return item number `index`; its arrays are read-only views of the memory map."""
        entry = self._index["items"][index]
        arrays = {
            key: np.ndarray(shape, dtype, self._bytes, offset)
            for key, (dtype, offset, shape) in entry["arrays"].items()
        }
        return self._item_type(entry["name"], **arrays)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of what was cached."""
        return self._index["fingerprint"]

    @cached_property
    def _index(self) -> dict[str, Any]:
        return json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        return np.memmap(self.folder / _ARRAYS, np.uint8, mode="r")


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
    """Return a source that reads from its cache below `root`; build the cache if it is missing.

    Of a source made from parts, the parts are cached.

    Args:
        source: what to cache.
        root: the folder of all caches.
        workers: number of processes that decode or render.
        plugins: files that define sources of the user.
        on_progress: called with the number of items that are ready, after each of them.

    Raises:
        DataError: an item cannot be read, or the cache cannot be written, does not fit on the disk or would exceed
            `$BENCHMARK_CACHE_GB`.
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


def _obtain_folder(
    data: Dataset[Any], root: Path, workers: int, plugins: Sequence[Path], on_progress: Callable[[int], None]
) -> Path:
    """Return the folder of a cache; build it if it is missing."""
    folder = root / f"{type(data).__name__}-{data.fingerprint[:32]}-{_FORMAT}"
    if (folder / _INDEX).is_file():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=BUILD_PREFIX, dir=root))
    except OSError as error:
        raise DataError(f"{root}: the cache cannot be written ({error}); set BENCHMARK_CACHE to a folder") from None
    try:
        remove_killed_builds(root)
        with LeaseFolder(temporary).hold(_LEASE):
            if warning := bit_depth_warning(data.files):
                _LOG.warning(warning)
            items = check_disk_quota(parallel_map(data.read, len(data), workers, plugins), len(data), root)
            _write(items, data.fingerprint, temporary, on_progress)
            _publish(temporary, folder)
    except OSError as error:
        raise DataError(f"{root}: the cache cannot be written ({error}); free space or set BENCHMARK_CACHE") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write(
    items: Iterator[Pair | CleanFace], fingerprint: str, folder: Path, on_progress: Callable[[int], None]
) -> None:
    entries: list[dict[str, Any]] = []
    with (folder / _ARRAYS).open("wb") as file:
        for item in items:
            places: dict[str, Any] = {}
            for key, array in _arrays(item).items():
                file.write(bytes(-file.tell() % _ALIGNMENT_BYTES))
                places[key] = (array.dtype.str, file.tell(), array.shape)
                file.write(array.tobytes())
            entries.append({"name": item.name, "arrays": places})
            on_progress(len(entries))
    index = {"fingerprint": fingerprint, "items": entries}
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def _arrays(item: Pair | CleanFace) -> dict[str, NDArray[Any]]:
    return {key: value for key, value in vars(item).items() if isinstance(value, np.ndarray)}


def _publish(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
        for file in folder.glob(f"*{_LEASE}.*"):
            file.unlink()
    except OSError:
        if not (folder / _INDEX).is_file():  # else another process was faster: its cache is as good
            raise


def remove_killed_builds(root: Path) -> None:
    """Remove what builds left that were killed before they could clean up."""
    for lease_file in root.glob(f"{BUILD_PREFIX}*/{_LEASE}.1"):
        folder = lease_file.parent
        with suppress(OSError):  # another process may remove it, too
            with LeaseFolder(folder).hold(_LEASE) as lease:  # None while its builder is alive
                is_dead = lease is not None or time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS
            if is_dead:
                shutil.rmtree(folder, ignore_errors=True)


def check_disk_quota(items: Iterator[Item], count: int, root: Path) -> Iterator[Item]:
    """Yield the items; after the first, check that `count` of them fit below `root`.

    A cache of a gigabyte or more is announced. If images differ in size this is an estimate.

    Raises:
        DataError: the cache would not fit on the disk, or all caches together would exceed `$BENCHMARK_CACHE_GB`.
    """
    for index, item in enumerate(items):
        if index == 0:
            _check_space(count * sum(array.nbytes for array in _arrays(item).values()), count, root)
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
