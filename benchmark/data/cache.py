"""Pairs decoded or rendered once, then read from a memory map.

A cache is a folder named after the source's fingerprint: all images one after the other in `images.npy`, all maps in
`maps.npy`, and where each begins in `index.json`. It is built under a temporary name and renamed when whole, so a
killed build leaves nothing that could be mistaken for a cache, and two builders do not harm each other.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import add
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair, Source, cache_quota
from benchmark.data.bit_depth_warnings import depth_notices
from benchmark.data.composite_source import CompositeSource
from benchmark.data.parallel import each
from benchmark.errors import DataError
from benchmark.generators import mapped

_FORMAT = 1
_LOG = logging.getLogger(__name__)


def cache_folder() -> Path:
    """`$BENCHMARK_CACHE`, else the user's cache folder; what lies there can be deleted at any time."""
    chosen = os.environ.get("BENCHMARK_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "restoration-benchmark"


@dataclass(frozen=True)
class CachedSource(Source):
    """A source read from its cache. Reading a pair opens no file and decodes nothing."""

    folder: Path
    origin: ClassVar[str] = "a cache of another source"

    def __len__(self) -> int:
        return len(self._index["pairs"])

    @property
    def fingerprint(self) -> str:
        return self._index["fingerprint"]

    def __reduce__(self) -> tuple[type["CachedSource"], tuple[Path]]:
        return CachedSource, (self.folder,)  # without the maps: whoever unpickles it opens them anew

    def read(self, index: int) -> Pair:
        entry = self._index["pairs"][index]
        height, width = entry["height"], entry["width"]
        size = height * width * 3
        degraded, target = self._images[entry["image"] :][: 2 * size].reshape(2, height, width, 3)
        if entry["maps"] is None:
            return Pair(entry["name"], degraded, target)
        gain, spots = self._maps[entry["maps"] :][: 2 * size].reshape(2, height, width, 3)
        return Pair(entry["name"], degraded, target, gain, spots)

    @cached_property
    def _index(self) -> dict[str, Any]:
        return json.loads((self.folder / "index.json").read_text(encoding="utf-8"))

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        return np.memmap(self.folder / "images.npy", np.uint8, mode="r")

    @cached_property
    def _maps(self) -> NDArray[np.float16]:
        return np.memmap(self.folder / "maps.npy", np.float16, mode="r")


def cached(source: Source, root: Path, workers: int, plugins: Sequence[Path] = ()) -> Generator[int, None, Source]:
    """The cache of a source below `root`, built if it is not there; of a source made of others, of its parts.

    A generator: yields the number of pairs ready, for progress, and returns the cached source. Raises DataError if a
    pair cannot be read, the cache cannot be written or would take more than it may (see `benchmark.data.cache_quota`).
    """
    if not isinstance(source, CompositeSource) or not source.parts:
        return (yield from _cached_pairs(source, root, workers, plugins))
    ready: list[Source] = []
    for part in source.parts:
        before = sum(map(len, ready))
        ready.append((yield from mapped(cached(part, root, workers, plugins), partial(add, before))))
    return source.with_parts(ready)


def _cached_pairs(
    source: Source, root: Path, workers: int, plugins: Sequence[Path]
) -> Generator[int, None, CachedSource]:
    folder = root / f"{type(source).__name__}-{source.fingerprint[:32]}-{_FORMAT}"
    if not (folder / "index.json").is_file():
        try:
            root.mkdir(parents=True, exist_ok=True)
            cache_quota.remove_killed_builds(root)
            temporary = Path(tempfile.mkdtemp(prefix=cache_quota.BUILDING, dir=root))
        except OSError as error:
            raise DataError(f"{root}: the cache cannot be written ({error}); set BENCHMARK_CACHE to a folder") from None
        try:
            for notice in depth_notices(source):
                _LOG.warning(notice)
            with cache_quota.marked_alive(temporary):
                pairs = cache_quota.watched(each(source.read, len(source), workers, plugins), len(source), root)
                yield from _build(pairs, source.fingerprint, temporary)
                _publish(temporary, folder)
        except OSError as error:
            raise DataError(
                f"{root}: the cache cannot be written ({error}); free space or set BENCHMARK_CACHE"
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return CachedSource(folder)


def _publish(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
        (folder / cache_quota.ALIVE).unlink()  # last: if a build dies before this, the file shows that it is stale
    except OSError:
        if not (folder / "index.json").is_file():  # else another process was faster: its cache is as good
            raise


def _build(pairs: Iterator[Pair], fingerprint: str, folder: Path) -> Iterator[int]:
    entries: list[dict[str, Any]] = []
    images = maps = 0
    with (folder / "images.npy").open("wb") as image_file, (folder / "maps.npy").open("wb") as map_file:
        for pair in pairs:
            height, width = pair.degraded.shape[:2]
            with_maps = pair.gain is not None and pair.spots is not None
            entries.append(
                {
                    "name": pair.name,
                    "height": height,
                    "width": width,
                    "image": images,
                    "maps": maps if with_maps else None,
                }
            )
            for image in (pair.degraded, pair.target):
                images += image_file.write(image.tobytes())
            for values in (pair.gain, pair.spots):
                if with_maps and values is not None:
                    maps += map_file.write(values.tobytes()) // values.itemsize
            yield len(entries)
        if not maps:  # an empty file cannot be mapped
            map_file.write(b"\0\0")
    index = {"fingerprint": fingerprint, "pairs": entries}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
