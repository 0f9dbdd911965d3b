"""Folders of images: which files are taken, which are left out, and what the user is told of it."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from benchmark.data.image_io import ALLOWED, SUFFIXES
from benchmark.errors import DataError, counted

SYSTEM_NAMES: Final = frozenset(
    {
        "@eadir",
        "@tmp",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "__macosx",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)
"""Names, in small letters, of what network drives and systems put into folders: thumbnails, deleted files, settings."""
_TABLES = frozenset({".csv", ".json"})
"""Files beside images that this project reads itself: splits, groups, pairs."""
_MOST_SUFFIXES = 4
"""Suffixes that a message names."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFolder:
    """The files of a folder and its sub-folders, without hidden ones and those of the system.

    Attributes:
        images: the images by name, the path without suffix, in the order of paths.
        others: the files that are not read.
    """

    images: Mapping[str, Path]
    others: Sequence[Path]

    def __str__(self) -> str:
        read = f"{counted(len(self.images), 'image')} read ({_counts(self.images.values())})"
        others = f", {counted(len(self.others), 'file')} passed over ({_counts(self.others)})"
        return read + others if self.others else read


def _counts(files: Iterable[Path]) -> str:
    """Return how many files have each suffix, the most frequent first; all but a few suffixes count together."""
    counts = Counter(file.suffix.lower() for file in files)
    frequent = counts.most_common(_MOST_SUFFIXES if len(counts) > _MOST_SUFFIXES + 1 else None)
    rest = counts.total() - sum(count for _, count in frequent)
    named = [f"{count} {suffix[1:] or 'without suffix'}" for suffix, count in frequent]
    return ", ".join([*named, *([f"{rest} others"] if rest else [])])


def images_in(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name; see `list_folder`. A warning counts files that are passed over."""
    listing = list_folder(folder)
    if any(file.suffix.lower() not in _TABLES for file in listing.others):
        warn_once(f"{folder}: {listing}; allowed: {ALLOWED}")
    return dict(listing.images)


@lru_cache
def warn_once(message: str) -> None:
    """Log a warning, once in each process: several sources may read one folder."""
    _LOG.warning(message)


def list_folder(folder: Path) -> ImageFolder:
    """Return the images of a folder and its sub-folders, and its other files.

    Hidden files and folders and those of the system are left out, links are followed. Names are compared as composed
    Unicode: a Mac writes `é` as two characters where others write one.

    Raises:
        DataError: the folder is missing, cannot be read or has no images, a link leads to an image that is not there,
            or two images have one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of images ({ALLOWED})")
    images: dict[str, Path] = {}
    others: list[Path] = []
    for file in files_below(folder):
        if file.suffix.lower() in SUFFIXES and not file.exists():
            raise DataError(f"{file}: links to {file.readlink()}, which is not there; mend or remove the link")
        if file.suffix.lower() not in SUFFIXES or not file.is_file():
            others.append(file)
            continue
        name = unicodedata.normalize("NFC", file.relative_to(folder).with_suffix("").as_posix())
        if name in images:
            raise DataError(f"{file}: {images[name].name} beside it has the same name; keep one of them")
        images[name] = file
    listing = ImageFolder(images, others)
    if not images:
        rest = f" but {_counts(others)}" if others else ""
        raise DataError(f"{folder}: no images in it{rest}; expected {ALLOWED}")
    return listing


def files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders by path, without hidden ones and those of the system.

    Args:
        folder: Where to look.
        above: The folders on the way here, resolved, to which a link may lead back.

    Raises:
        DataError: a folder cannot be listed.
    """
    above = (*above, folder.resolve())
    try:
        entries = sorted(entry for entry in folder.iterdir() if not _is_left_out(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); give the right to read it") from None
    for entry in entries:
        if entry.is_dir():
            if entry.resolve() not in above:
                yield from files_below(entry, above)
        else:
            yield entry


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_NAMES
