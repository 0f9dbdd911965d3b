"""Restore an image in tiles: large ones take little memory, and a local network gives the pixels of the whole image."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.model import Restorer

_SAME = 1e-4
"""Largest difference in [0, 1] that rounding makes of one sum in another order."""


class Box(NamedTuple):
    """A rectangle of an image, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles.

    Attributes:
        tile: Side of the square tiles.
        overlap: Pixels that neighbouring tiles share at least.
        margin: Pixels along an edge inside the image that get no weight, because the network saw padding from there;
            None: a quarter of the overlap.
        multiple_of: Tiles start and end where the padded image has a multiple of this, as the network sees it whole.
        pad_mode: How the image is continued to such a multiple.
    """

    tile: int
    overlap: int
    margin: int | None = None
    multiple_of: int = 1
    pad_mode: Literal["reflect", "zeros"] = "reflect"


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


Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])


def restore_in_tiles(restore: Callable[[Pixels], Pixels], image: Pixels, tiling: Tiling) -> Pixels:
    """Return a restored image `H W 3`, restored once for each of `tile_boxes` and blended linearly across overlaps.

    An image that is not larger than a tile is restored as it is. A network that looks no farther than the margin gives
    the pixels of the whole image.
    """
    height, width = image.shape[:2]
    if max(height, width) <= tiling.tile:
        return restore(image)
    down, right = -height % tiling.multiple_of, -width % tiling.multiple_of
    mode = "reflect" if tiling.pad_mode == "reflect" else "constant"
    padded: Any = np.pad(image, ((0, down), (0, right), (0, 0)), mode=mode)
    blended = np.zeros(padded.shape, np.float32)
    weights = np.zeros((*padded.shape[:2], 1), np.float32)
    for box in tile_boxes((height + down, width + right), tiling.tile, tiling.overlap):
        area = np.s_[box.top : box.top + box.height, box.left : box.left + box.width]
        rows = _weights(box.top, box.height, height + down, tiling)
        columns = _weights(box.left, box.width, width + right, tiling)
        weight = (rows[:, None] * columns)[:, :, None]
        blended[area] += weight * restore(padded[area])
        weights[area] += weight
    np.divide(blended, weights, out=blended)
    restored: Any = np.rint(blended, out=blended) if image.dtype == np.uint8 else blended
    return restored.astype(image.dtype)[:height, :width]


def _weights(start: int, length: int, image: int, tiling: Tiling) -> NDArray[np.float32]:
    """Return weights along one side of a tile; those of neighbouring tiles add up to 1.

    From an edge inside the image they are 0 for the margin, then rise linearly to 1 where that of the neighbour begins.
    """
    margin = tiling.overlap // 4 if tiling.margin is None else tiling.margin
    from_start = np.arange(length) + 0.5
    distance = np.minimum(from_start if start > 0 else np.inf, from_start[::-1] if start + length < image else np.inf)
    ramp = (np.broadcast_to(distance, length) - margin) / max(tiling.overlap - 2 * margin, 0.5)
    return ramp.clip(0, 1).astype(np.float32)


def tiling_for(restorer: Restorer, tile: int, overlap: int, device: torch.device) -> tuple[Tiling, str]:
    """Return tiles with which a network gives the pixels of the whole image, if there are such, and a note if not.

    Sides become multiples of what the network works in. Where the network looks no farther than a quarter of a tile,
    the overlap is at least twice as wide as it looks; wider overlaps would cost more than larger tiles.

    Args:
        restorer: The network on the device.
        tile: Side of a tile.
        overlap: Pixels that neighbouring tiles share at least.
        device: Where the network is tried on one tile.
    """
    backbone = restorer.backbone
    step, pad_mode = backbone.multiple_of, backbone.pad_mode
    tile, overlap = (-(-side // step) * step for side in (max(tile, restorer.min_side), overlap))
    overlap = min(overlap, tile - step)
    radius = local_radius(restorer, tile, device)
    needed = None if radius is None else -(-2 * radius // step) * step
    if radius is not None and needed is not None and needed <= max(overlap, tile // 2):
        return Tiling(tile, max(overlap, needed), radius, step, pad_mode), ""
    reach = "looks farther than a tile, or depends on its size" if radius is None else f"looks {radius} pixels far"
    note = f"the network {reach}: in tiles of {tile} pixels images may differ from those restored whole"
    return Tiling(tile, overlap, None, step, pad_mode), note


@torch.inference_mode()
def local_radius(restorer: Restorer, side: int, device: torch.device) -> int | None:
    """Return how many pixels away from a pixel a network looks; None if its result depends on more than that.

    A block of NaN in the middle makes NaN of every pixel that is computed from it. A network may also depend on the
    size of the image, e.g. resize to it, so the same pixels are restored in a smaller image, too.
    """
    step = restorer.backbone.multiple_of
    start = side // 2 // step * step
    image = torch.zeros(1, 3, side, side, device=device)
    image[..., start : start + step, start : start + step] = torch.nan
    reached = restorer(image).image[0].isnan().any(0)
    lines = [line.nonzero().flatten() for line in (reached.any(0), reached.any(1))]
    if any(len(line) == 0 or line[0] == 0 or line[-1] == side - 1 for line in lines):
        return None
    radius = int(max(max(start - line[0], line[-1] - (start + step - 1)) for line in lines))
    image = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).to(device)
    offset = max(side // 4 // step, 1) * step
    larger, smaller = restorer(image).image, restorer(image[..., offset:, offset:]).image
    same = torch.allclose(
        larger[..., offset + radius :, offset + radius :], smaller[..., radius:, radius:], rtol=0, atol=_SAME
    )
    return radius if same else None
