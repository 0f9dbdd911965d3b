"""A folder of images restored, one file after the other; what is done stays done."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.image_io import read_image
from benchmark.errors import DataError
from benchmark.files import write_bytes
from benchmark.inference.optional_deps import reason

_COMPRESSION = 3
"""Of PNG: the default, 6, takes several times longer for files hardly smaller."""


@dataclass(frozen=True)
class Outcome:
    """What became of an image; `message`: why it failed, in one line."""

    result: Literal["restored", "skipped", "failed"]
    message: str = ""


def restore_folder(
    restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    images: Mapping[str, Path],
    folder: Path,
    *,
    replace: bool,
) -> Iterator[Outcome]:
    """Restore images (name -> file) into `<folder>/<name>.png`, 8-bit RGB; yields what became of each, in their order.

    A file that is there is skipped unless `replace`; every file is written whole or not at all. An image that cannot be
    read or restored does not stop the others. Raises OSError if the folder cannot be written.
    """
    for name, file in images.items():
        written = folder / f"{name}.png"
        yield Outcome("skipped") if written.exists() and not replace else _restored(restore, file, written)


def _restored(restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], file: Path, written: Path) -> Outcome:
    try:
        image = restore(read_image(file))
    except DataError as error:
        return Outcome("failed", str(error))
    except (RuntimeError, MemoryError) as error:  # torch has one class for all, too little memory among them
        return Outcome("failed", f"{file}: cannot be restored: {reason(error)}")
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG", compress_level=_COMPRESSION)
    write_bytes(written, png.getvalue())
    return Outcome("restored")
