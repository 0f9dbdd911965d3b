"""Restore images in tiles: large images in little memory, images of any size by a network of one size."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


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
