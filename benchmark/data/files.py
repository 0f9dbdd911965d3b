"""Image files: which ones a folder holds, and what is read from them.

Every source reads images here, so that a picture has the same pixels whichever source shows it.
"""

import hashlib
import unicodedata
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmark.errors import DataError
from benchmark.registry import syntax_digest

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


def read_image(file: Path) -> NDArray[np.uint8]:
    """An image file as `H W 3` uint8 RGB, turned as its EXIF orientation says.

    Of 16 bits the upper 8 are taken; grey becomes three equal channels; alpha is dropped, so the colour below
    transparent pixels counts; CMYK is converted by the plain formula; colour profiles are ignored. Raises DataError for
    what cannot be decoded whole, for 32-bit images, whose range is not known, and for more pixels than an honest image
    has (Pillow's limit of 89 million).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. about EXIF data that is broken
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DataError(f"{file}: more than {limit} million pixels ({error}); reduce it or leave it out") from None
    except (OSError, SyntaxError, ValueError) as error:  # what 10,500 files damaged at random raised
        raise DataError(f"{file}: not a readable image ({error}); allowed: {_allowed()}") from None


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip at 255
        grey = np.asarray(image.convert("I")) >> 8
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, 2)
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel; save it with 8 or 16")
    if image.mode == "P":  # a palette may have alpha of its own
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def images_in(folder: Path) -> dict[str, Path]:
    """The images of a folder and its sub-folders by name: the path without suffix, in the order of paths.

    Hidden files and folders are passed over. Names are compared as composed Unicode: a Mac writes `é` as two characters
    where others write one. Raises DataError if the folder is missing, has no images, or two of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of images ({_allowed()})")
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if file.suffix.lower() in SUFFIXES and file.is_file() and not any(part.startswith(".") for part in path.parts):
            name = unicodedata.normalize("NFC", path.with_suffix("").as_posix())
            if name in files:
                raise DataError(f"{file}: {files[name].name} beside it has the same name; keep one of them")
            files[name] = file
    if not files:
        raise DataError(f"{folder}: no images in it; expected {_allowed()}")
    return files


def files_digest(named: Iterable[tuple[str, Path]], code: Iterable[Path], options: object = None) -> str:
    """SHA-256 of files by name, size and time of change, of the source code that reads them, and of its options."""
    digest = hashlib.sha256(code_digest((Path(__file__), *code)).encode())
    digest.update(repr(options).encode())
    for name, file in named:
        stat = file.stat()
        digest.update(repr((name, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()


@lru_cache  # code does not change while it runs, and fingerprints are asked for many times
def code_digest(files: tuple[Path, ...]) -> str:
    """Digest of these source files as syntax trees, read once a process."""
    return syntax_digest(files)


def _allowed() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
