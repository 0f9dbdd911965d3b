"""Restore a folder of images, one file after the other; finished files stay when it is interrupted."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.image_io import read_image
from benchmark.errors import DataError, root_cause
from benchmark.files import write_bytes

_COMPRESSION = 3
"""Of PNG: the default, 6, takes several times longer for files hardly smaller."""


@dataclass(frozen=True)
class ImageOutcome:
    """Whether an image was restored; `message`: why it failed, in one line."""

    result: Literal["restored", "skipped", "failed"]
    message: str = ""


def restore_folder(
    restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    images: Mapping[str, Path],
    folder: Path,
    *,
    replace: bool,
) -> Iterator[ImageOutcome]:
    """Restore images into `<folder>/<name>.png`, 8-bit RGB; yield the outcome of each, in their order.

    An image that cannot be read or restored does not stop the others. Every file is written whole or not at all.

    Args:
        restore: From `H W 3` uint8 to the same shape and type.
        images: Name -> file.
        folder: Where to write.
        replace: Restore images again whose file exists.

    Raises:
        OSError: The folder cannot be written.
    """
    for name, file in images.items():
        output = folder / f"{name}.png"
        if output.exists() and not replace:
            yield ImageOutcome("skipped")
            continue
        try:
            restored = restore(read_image(file))
        except DataError as error:
            yield ImageOutcome("failed", str(error))
        except (RuntimeError, MemoryError) as error:  # torch has one class for everything, lack of memory included
            yield ImageOutcome("failed", f"{file}: cannot be restored: {root_cause(error)}")
        else:
            png = io.BytesIO()
            Image.fromarray(restored).save(png, "PNG", compress_level=_COMPRESSION)
            write_bytes(output, png.getvalue())
            yield ImageOutcome("restored")
