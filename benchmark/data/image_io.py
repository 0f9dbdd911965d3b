"""Image files: find them in a folder, read them, many of them in several processes, and write pairs as PNG.

Every source reads images here, so that a picture has the same pixels whichever source shows it.
"""

import hashlib
import io
import struct
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from benchmark.component_source import syntax_digest
from benchmark.data import Source
from benchmark.errors import DataError, ProcessError, counted
from benchmark.files import write_bytes
from benchmark.processes import map_in_processes
from benchmark.registry import load_plugins

Result = TypeVar("Result")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_ALLOWED = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns an image upright, by its EXIF orientation."""
_FEWEST_FOR_WORKERS = 8
"""Starting a worker takes about as long as reading this many pairs."""


def read_image(file: Path) -> NDArray[np.uint8]:
    """Return the pixels of an image file as `H W 3` uint8 RGB, turned as its EXIF orientation says.

    Of 16 or 12 bits the upper 8 are taken. Grey becomes three equal channels. Alpha is dropped, so the colour below
    transparent pixels counts. CMYK is converted by the plain formula. Colour profiles are ignored.

    Raises:
        DataError: the file cannot be decoded whole, has 32 bits a channel (their range is not known), or has more
            pixels than an honest image (Pillow's limit of 89 million).
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
        raise DataError(f"{file}: not a readable image (of no known format); allowed: {_ALLOWED}") from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:  # what 20,000 files damaged at random raised
        raise DataError(f"{file}: not a readable image ({error}); allowed: {_ALLOWED}") from None


def stored_bits(image: ImageFile.ImageFile) -> int:
    """Return the bits a channel of an image that was opened but not yet decoded: 8, 12 or 16.

    Pillow shows 16-bit colour as 8 bits, and 12-bit grey as 16; only its decoder's settings say what is in the file.
    """
    raw = [image.mode, *(str(tile[3]) for tile in image.tile)]
    if any(";12" in settings for settings in raw):
        return 12
    return 16 if any(";16" in settings for settings in raw) else 8


def file_bits(file: Path) -> int:
    """Return the bits a channel of an image file, from its header alone; 8 for a file that is no image."""
    with suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError), Image.open(file) as image:
        return stored_bits(image)
    return 8


def bit_depth_warning(files: Sequence[Path]) -> str:
    """Return a sentence on the images with more than 8 bits a channel, of which 8 are read; empty without any."""
    deep = [file for file in files if file_bits(file) > 8]
    if not deep:
        return ""
    return f"{deep[0]}: {file_bits(deep[0])} bits a channel, the upper 8 are read ({counted(len(deep), 'such image')})"


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says. Pillow's own function also writes EXIF data, and may fail at it."""
    image.load()  # this turns TIFF and drops its orientation
    turn = _ORIENTATIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
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
    """Return the images of a folder and its sub-folders by name: the path without suffix, in the order of paths.

    Hidden files and folders are skipped, links are followed. Names are compared as composed Unicode: a Mac writes `é`
    as two characters where others write one.

    Raises:
        DataError: the folder is missing, cannot be read or has no images, a link leads to an image that is not there,
            or two images have one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of images ({_ALLOWED})")
    files: dict[str, Path] = {}
    for file in _images_below(folder, (folder.resolve(),)):
        name = unicodedata.normalize("NFC", file.relative_to(folder).with_suffix("").as_posix())
        if name in files:
            raise DataError(f"{file}: {files[name].name} beside it has the same name; keep one of them")
        files[name] = file
    if not files:
        raise DataError(f"{folder}: no images in it; expected {_ALLOWED}")
    return files


def _images_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the image files; `above`: this folder and those on the way here, to which a link may lead back."""
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
    """Return the SHA-256 of files by name, size and time of change, of the code that reads them, and of its options.

    It reads no image. Sources without files have a digest of their code and options.
    Two sets of files that agree in all of these count as one. Files of equal times and equal sizes (as BMP files have)
    need different names.
    """
    digest = hashlib.sha256(_code_digest((Path(__file__), *code)).encode())
    digest.update(repr(options).encode())
    for name, file in named:
        stat = file.stat()
        digest.update(repr((name, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()


@lru_cache  # code does not change while it runs, and fingerprints are needed many times
def _code_digest(files: tuple[Path, ...]) -> str:
    """Return a digest of source files as syntax trees; each process reads them once."""
    return syntax_digest(files)


def parallel_map(
    work: Callable[[int], Result], count: int, workers: int, plugins: Sequence[Path] = ()
) -> Iterator[Result]:
    """Yield `work(0)`, `work(1)`, ... `work(count - 1)` in this order, e.g. the pairs of a source.

    Args:
        work: a function that can be pickled; what it raises is raised here.
        count: how many results there are.
        workers: how many processes to start; few results are computed in this process.
        plugins: files that define what `work` needs.

    Raises:
        DataError: a process died.
    """
    if workers < 2 or count < _FEWEST_FOR_WORKERS:
        yield from (work(index) for index in range(count))
        return
    try:
        yield from map_in_processes(work, count, workers, partial(load_plugins, tuple(plugins)))
    except ProcessError as error:
        raise DataError(f"reading images: {error}") from None


def write_pairs(source: Source, count: int, folder: Path, workers: int, *, with_maps: bool) -> Iterator[int]:
    """Write the first pairs of a source as `degraded/NAME.png` and `target/NAME.png`, 8-bit RGB.

    Args:
        source: where the pairs come from.
        count: how many pairs to write.
        folder: receives the folders `degraded`, `target` and `maps`.
        workers: number of processes.
        with_maps: also write `maps/NAME.npz` with the float16 arrays `gain` (K) and `spots` (D), `H W 3` each, where
            the source knows them.

    Yields:
        The number of pairs written so far.

    Raises:
        OSError: the folder cannot be written.
        DataError: a pair cannot be read.
    """
    work = partial(_write_pair, source, folder, with_maps)
    yield from (done + 1 for done, _ in enumerate(parallel_map(work, count, workers)))


def _write_pair(source: Source, folder: Path, with_maps: bool, index: int) -> None:
    pair = source.read(index)
    for role, pixels in (("degraded", pair.degraded), ("target", pair.target)):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        write_bytes(folder / role / f"{pair.name}.png", png.getvalue())
    if with_maps and pair.gain is not None and pair.spots is not None:
        maps = io.BytesIO()
        np.savez_compressed(maps, gain=pair.gain, spots=pair.spots)
        write_bytes(folder / "maps" / f"{pair.name}.npz", maps.getvalue())
