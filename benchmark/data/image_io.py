"""Image files: read them, many of them in several processes, and write pairs as PNG.

Every image is opened here, so that a picture has the same pixels whichever source shows it, and no file makes Pillow do
more than decode a still image.
"""

import io
import logging
import multiprocessing
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from benchmark.data import Source, in_levels
from benchmark.errors import DataError, ProcessError, counted, root_cause
from benchmark.files import write_bytes
from benchmark.processes import map_in_processes
from benchmark.registry import load_plugins
from reports.file_access import open_file

Result = TypeVar("Result")

FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""The formats that are read, by Pillow's name, with their suffixes. Of its others, one starts another program."""
SUFFIXES: Final = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
ALLOWED: Final = "PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF, JPEG 2000, PPM"
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # a DataError says what is wrong with a file
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # one long text is as good as many: 64 MB together
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

    Of several frames the first is taken.

    Raises:
        DataError: see `open_image`; or the file has 32 bits a channel, whose range is not known.
    """
    with open_image(file) as image:
        bits = stored_bits(image)
        return _rgb(_upright(image), bits)


@contextmanager
def open_image(file: Path, content: bytes | None = None) -> Generator[ImageFile.ImageFile]:
    """Open an image file of one of `FORMATS`, whatever its suffix; its content is decoded when it is asked for.

    Args:
        file: Its path, or a name for messages where `content` is given.
        content: Its bytes; None: they are read from the path.

    Raises:
        DataError: the file is missing or no regular file, cannot be decoded whole, or has more pixels than an honest
            image (Pillow's limit of 89 million).
    """
    try:
        handle = open_file(file) if content is None else io.BytesIO(content)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); expected an image") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. about EXIF data that is broken
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Through a handle: by name Pillow maps plain TIFF into memory, with the sides of the turned image.
            with handle, Image.open(handle, formats=tuple(FORMATS)) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DataError(f"{file}: more than {limit} million pixels ({error}); reduce it or leave it out") from None
    except DataError:  # of the block that reads the picture: it says what is wrong, and where
        raise
    except UnidentifiedImageError:
        is_empty = not content if content is not None else not file.stat().st_size
        reason = "the file is empty" if is_empty else "of no known format"
        raise DataError(f"{file}: not a readable image ({reason}); allowed: {ALLOWED}") from None
    except Exception as error:  # a decoder may stumble over damaged files in any way
        reason = next(iter(str(error).strip().splitlines()), root_cause(error))  # what Pillow makes of a cause
        raise DataError(f"{file}: not a readable image ({reason}); allowed: {ALLOWED}") from None


def stored_bits(image: ImageFile.ImageFile) -> int:
    """Return the bits a channel of an image that was opened but not yet decoded: 8, 12 or 16.

    Pillow shows 16-bit colour as 8 bits, and 12-bit grey as 16; only its decoder's settings say what is in the file.
    """
    if image.format == "PPM" and image.mode == "I":
        return 16
    raw = [image.mode, *(str(tile[3]) for tile in image.tile)]
    if any(";12" in settings for settings in raw):
        return 12
    return 16 if any(";16" in settings for settings in raw) else 8


def file_bits(file: Path) -> int:
    """Return the bits a channel of an image file, from its header alone; 8 for a file that is no image."""
    with suppress(DataError), open_image(file) as image:
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
    turn = turn_to_upright(image)
    return image if turn is None else image.transpose(turn)


def turn_to_upright(image: Image.Image) -> Image.Transpose | None:
    """Return what turns a decoded image as its EXIF orientation says; None if nothing does."""
    return _ORIENTATIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _rgb(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or (
        image.mode == "I" and image.format == "PPM"
    ):  # Pillow's own conversion would clip at 255
        grey = np.asarray(image.convert("I")) >> (bits - 8)
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, 2)
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel; save it with 8 or 16")
    if image.mode in ("P", "PA", "La", "RGBa"):  # a palette may have alpha of its own
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


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
    if workers < 2 or count < _FEWEST_FOR_WORKERS or multiprocessing.current_process().daemon:  # it may start none
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
    for role, pixels in (("degraded", in_levels(pair.degraded)), ("target", pair.target)):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        write_bytes(folder / role / f"{pair.name}.png", png.getvalue())
    if with_maps and pair.gain is not None and pair.spots is not None:
        maps = io.BytesIO()
        np.savez_compressed(maps, gain=pair.gain, spots=pair.spots)
        write_bytes(folder / "maps" / f"{pair.name}.npz", maps.getvalue())
