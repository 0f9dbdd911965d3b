"""Restore images in tiles (large ones in little memory, any size by a network of one size), and folders of images.

A folder is restored one file after the other; finished files stay when it is interrupted.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.image_io import read_image
from benchmark.errors import DataError, root_cause
from benchmark.files import write_bytes

_COMPRESSION = 3
"""Of PNG: the default, 6, takes several times longer for files hardly smaller."""


class Box(NamedTuple):
    """A rectangle of an image, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int


def tile_boxes(image: tuple[int, int], tile: int, overlap: int) -> tuple[Box, ...]:
    """Return the square tiles of an image, row by row.

    All have the side `tile`. The last one of a row or column is shifted inward and overlaps by more. Where the image is
    smaller than a tile, so is the box.

    Args:
        image: Height and width.
        tile: Side of a tile.
        overlap: Pixels that neighbouring tiles share at least.

    Raises:
        ValueError: Unless 0 <= overlap < tile.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"tiles of {tile} pixels with an overlap of {overlap}: it must be from 0 to {tile - 1}")
    height, width = (min(tile, side) for side in image)
    last_starts = (max(side - tile, 0) for side in image)
    rows, columns = ([*range(0, last, tile - overlap), last] for last in last_starts)
    return tuple(Box(top, left, height, width) for top, left in product(rows, columns))


def restore_in_tiles(
    restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], image: NDArray[np.uint8], tile: int, overlap: int
) -> NDArray[np.uint8]:
    """Return a restored image `H W 3`, restored once for each of `tile_boxes` and blended linearly across overlaps.

    `restore` always gets `tile tile 3`: an image smaller than a tile is padded by reflection, to the right and
    downward, and the result is cropped.
    """
    blended = np.zeros(image.shape, np.float32)
    weights = np.zeros((*image.shape[:2], 1), np.float32)
    weight = _weight(tile, overlap)
    for top, left, height, width in tile_boxes((image.shape[0], image.shape[1]), tile, overlap):
        area = np.s_[top : top + height, left : left + width]
        padded = np.pad(image[area], ((0, tile - height), (0, tile - width), (0, 0)), mode="reflect")
        blended[area] += weight[:height, :width] * restore(padded)[:height, :width]
        weights[area] += weight[:height, :width]
    return np.rint(blended / weights).astype(np.uint8)


def _weight(tile: int, overlap: int) -> NDArray[np.float32]:
    """Return weights `tile tile 1`: linear from almost 0 at an edge to 1 where the overlap ends.

    Those of neighbouring tiles add up to 1.
    """
    from_edge = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    ramp = np.minimum(from_edge / max(overlap, 0.5), 1).astype(np.float32)
    return (ramp[:, None] * ramp)[:, :, None]


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
