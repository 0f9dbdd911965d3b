"""Fingerprints of image files: their pixels decide; sizes and time stamps only spare reading them again.

The digests of a folder's images are kept in the folder of caches, each beside the size and the time stamps of its file.
Equal pixels have equal fingerprints on every disk, whatever their files look like.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from benchmark.component_source import syntax_digest
from benchmark.data import image_io, pixel_digest
from benchmark.data.image_io import parallel_map, read_image
from benchmark.errors import DataError
from benchmark.kept_values import cache_folder, read_checked, write_checked
from benchmark.processes import usable_cores

_FOLDER = "digests"
_FEWEST_FOR_WORKERS = 100
"""Starting processes that import the readers takes about as long as reading this many images."""


@dataclass(frozen=True)
class _Status:
    """A file, and what tells that it was changed: its size, and the times of change of its content and its entry."""

    file: Path
    stamps: tuple[int, int, int]


def files_digest(named: Iterable[tuple[str, Path]], code: Iterable[Path], options: object = None) -> str:
    """Return the SHA-256 of images by name and pixels, of the code that reads them, and of its options.

    Sources without files have a digest of their code and options.

    Raises:
        DataError: a file is missing.
    """
    digest = hashlib.sha256(_code_digest((Path(image_io.__file__), *code)).encode())
    digest.update(repr(options).encode())
    named = list(named)
    pixels = _pixel_digests(tuple(_status(file) for _, file in named))
    digest.update(repr([(name, pixel) for (name, _), pixel in zip(named, pixels, strict=True)]).encode())
    return digest.hexdigest()


@lru_cache  # code does not change while it runs, and fingerprints are needed many times
def _code_digest(files: tuple[Path, ...]) -> str:
    """Return a digest of source files as syntax trees; each process reads them once."""
    return syntax_digest(files)


def _status(file: Path) -> _Status:
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    return _Status(file.absolute(), (status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@lru_cache(maxsize=16)
def _pixel_digests(files: tuple[_Status, ...]) -> list[str]:
    """Return the digests of the pixels of files, empty for those that cannot be read."""
    kept = {folder: _read_kept(folder) for folder in {status.file.parent for status in files}}
    changed = [status for status in files if kept[status.file.parent].get(status.file.name, [0])[0] != [*status.stamps]]
    workers = usable_cores() if len(changed) >= _FEWEST_FOR_WORKERS else 1
    digests = parallel_map(partial(_read_digest, changed), len(changed), workers)
    for status, digest in zip(changed, digests, strict=True):
        kept[status.file.parent][status.file.name] = [[*status.stamps], digest]
    for folder in {status.file.parent for status in changed}:
        with suppress(OSError):  # a cache that cannot be written to: they are read again next time
            write_checked(_kept_file(folder), kept[folder])
    return [kept[status.file.parent][status.file.name][1] for status in files]


def _read_digest(files: Sequence[_Status], index: int) -> str:
    with suppress(DataError):  # reading the source reports it
        return pixel_digest(read_image(files[index].file))
    return ""


def _read_kept(folder: Path) -> dict[str, list[Any]]:
    """Return what is known of the images of a folder: by name their stamps and digest."""
    with suppress(OSError):
        return read_checked(_kept_file(folder)) or {}
    return {}


def _kept_file(folder: Path) -> Path:
    return cache_folder() / _FOLDER / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
