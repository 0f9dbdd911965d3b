"""The user's own pairs: two folders with images of equal names."""

import hashlib
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmark.data import Pair, Source
from benchmark.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


class PairedFolders(Source):
    """Pairs by equal names (the suffix may differ), sub-folders included, sorted by name.

    Images are turned as their EXIF orientation says and converted to 8-bit RGB. Relative folders are relative to the
    experiment file.
    """

    origin: ClassVar[str] = "the user's pairs"

    def __init__(self, degraded: Path, target: Path) -> None:
        self._degraded, self._target = degraded, target
        degraded_files, target_files = _images(degraded), _images(target)
        lonely = sorted(degraded_files.keys() ^ target_files.keys())
        if lonely:
            here, there = (degraded, target) if lonely[0] in degraded_files else (target, degraded)
            raise DataError(
                f"{here}: {lonely[0]!r} has no partner of that name in {there} ({len(lonely)} images without one)"
            )
        self._files = [(name, degraded_files[name], target_files[name]) for name in sorted(degraded_files)]

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Pair:
        name, degraded_file, target_file = self._files[index]
        degraded, target = read_image(degraded_file), read_image(target_file)
        if degraded.shape != target.shape:
            sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (degraded, target))
            raise DataError(f"{degraded_file}: degraded and target differ in size ({sizes} pixels)")
        return Pair(name, degraded, target)

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, *files in self._files:
            stats = [file.stat() for file in files]
            digest.update(repr((name, [(stat.st_size, stat.st_mtime_ns) for stat in stats])).encode())
        return digest.hexdigest()


def read_image(file: Path) -> NDArray[np.uint8]:
    """An image file as `H W 3` uint8 RGB, turned as its EXIF orientation says. Raises DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"{file}: not a readable image ({error}); allowed: {_allowed()}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: larger than an image should be ({error})") from None


def _images(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of images ({_allowed()})")
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES and file.is_file():
            name = file.relative_to(folder).with_suffix("").as_posix()
            if name in files:
                raise DataError(f"{file}: {files[name].name} beside it has the same name; keep one of them")
            files[name] = file
    if not files:
        raise DataError(f"{folder}: no images in it; expected {_allowed()}")
    return files


def _allowed() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
