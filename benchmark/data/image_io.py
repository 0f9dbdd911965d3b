"""Image files: which ones a folder holds, and what is read from them.

Every source reads images here, so that a picture has the same pixels whichever source shows it.
"""

import hashlib
import struct
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from benchmark.component_source import syntax_digest
from benchmark.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""


def read_image(file: Path) -> NDArray[np.uint8]:
    """An image file as `H W 3` uint8 RGB, turned as its EXIF orientation says.

    Of 16 or 12 bits the upper 8 are taken; grey becomes three equal channels; alpha is dropped, so the colour below
    transparent pixels counts; CMYK is converted by the plain formula; colour profiles are ignored. Raises DataError for
    what cannot be decoded whole, for 32-bit images, whose range is not known, and for more pixels than an honest image
    has (Pillow's limit of 89 million).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. about EXIF data that is broken
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Through a handle: by name Pillow maps plain TIFF into memory, with the sides of the turned image.
            with file.open("rb") as handle, Image.open(handle) as image:
                bits = stored_bits(image)
                return _rgb(_upright(image), bits)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DataError(f"{file}: more than {limit} million pixels ({error}); reduce it or leave it out") from None
    except UnidentifiedImageError:
        raise DataError(f"{file}: not a readable image (of no known format); allowed: {_allowed()}") from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:  # what 20,000 files damaged at random raised
        raise DataError(f"{file}: not a readable image ({error}); allowed: {_allowed()}") from None


def stored_bits(image: ImageFile.ImageFile) -> int:
    """Bits a channel of an image that was opened but not yet decoded: 8, 12 or 16.

    Pillow shows 16-bit colour as 8 bits, and 12-bit grey as 16; only its decoder's settings say what is in the file.
    """
    raw = [image.mode, *(str(tile[3]) for tile in image.tile)]
    if any(";12" in settings for settings in raw):
        return 12
    return 16 if any(";16" in settings for settings in raw) else 8


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says. Pillow's own turn writes EXIF data, too, and may fail at it."""
    image.load()  # of TIFF this turns it, and drops the orientation
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip at 255
        grey = np.asarray(image.convert("I")) >> (bits - 8)
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, 2)
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel; save it with 8 or 16")
    if image.mode == "P":  # a palette may have alpha of its own
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def images_in(folder: Path) -> dict[str, Path]:
    """The images of a folder and its sub-folders by name: the path without suffix, in the order of paths.

    Hidden files and folders are passed over, links followed. Names are compared as composed Unicode: a Mac writes `é`
    as two characters where others write one. Raises DataError if the folder is missing, cannot be read or has no
    images, for a link to an image that is not there, and for two images of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of images ({_allowed()})")
    files: dict[str, Path] = {}
    for file in _images_below(folder, (folder.resolve(),)):
        name = unicodedata.normalize("NFC", file.relative_to(folder).with_suffix("").as_posix())
        if name in files:
            raise DataError(f"{file}: {files[name].name} beside it has the same name; keep one of them")
        files[name] = file
    if not files:
        raise DataError(f"{folder}: no images in it; expected {_allowed()}")
    return files


def _images_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """`above`: the folders on the way here and this one, which a link may lead back to."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); give the right to read it") from None
    for entry in entries:
        if entry.is_dir():
            if entry.resolve() not in above:
                yield from _images_below(entry, (*above, entry.resolve()))
        elif entry.suffix.lower() in SUFFIXES:
            if not entry.exists():
                raise DataError(f"{entry}: links to {entry.readlink()}, which is not there; mend or remove the link")
            if entry.is_file():
                yield entry


def files_digest(named: Iterable[tuple[str, Path]], code: Iterable[Path], options: object = None) -> str:
    """SHA-256 of files by name, size and time of change, of the source code that reads them, and of its options.

    Two sets of files that agree in all of these are taken for one: files whose times were all set alike, and whose
    sizes tell nothing, as in BMP, need names of their own.
    """
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
