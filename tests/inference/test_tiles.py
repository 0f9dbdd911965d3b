"""Images restored in tiles look as if restored as a whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from benchmark.inference.restore_images import restore_in_tiles, tile_boxes

Image = NDArray[np.uint8]


@st.composite
def tilings(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Height, width, tile, overlap."""
    tile = draw(st.integers(1, 24))
    return draw(st.integers(1, 70)), draw(st.integers(1, 70)), tile, draw(st.integers(0, tile - 1))


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@settings(deadline=None)
@given(tilings())
def test_the_boxes_cover_the_image_and_overlap(tiling: tuple[int, int, int, int]) -> None:
    """Every pixel is in a box, no box leaves the image, all have one size, neighbours share at least the overlap."""
    height, width, tile, overlap = tiling
    boxes = tile_boxes((height, width), tile, overlap)
    seen = np.zeros((height, width), int)
    for box in boxes:
        assert (box.height, box.width) == (min(tile, height), min(tile, width))
        assert box.top + box.height <= height and box.left + box.width <= width
        seen[box.top : box.top + box.height, box.left : box.left + box.width] += 1
    assert seen.min() >= 1
    assert len(set(boxes)) == len(boxes)
    for starts in (sorted({box.top for box in boxes}), sorted({box.left for box in boxes})):
        assert all(after - before <= tile - overlap for before, after in pairwise(starts))


def test_the_boxes_of_a_known_image() -> None:
    """As drawn by hand: strides of tile less overlap, the last shifted inward."""
    boxes = tile_boxes((100, 40), 40, 8)
    assert [(box.top, box.left) for box in boxes] == [(0, 0), (32, 0), (60, 0)]
    assert len(tile_boxes((1024, 1024), 512, 32)) == 9
    assert tile_boxes((30, 20), 40, 8) == ((0, 0, 30, 20),)


@settings(deadline=None)
@given(tilings())
def test_doing_nothing_in_tiles_does_nothing(tiling: tuple[int, int, int, int]) -> None:
    """With an identity every pixel survives, once for each box, and what is restored is always a whole tile."""
    height, width, tile, overlap = tiling
    image, seen = noise(height, width), []

    def restore(piece: Image) -> Image:
        seen.append(piece.shape)
        return piece

    assert np.array_equal(restore_in_tiles(restore, image, tile, overlap), image)
    assert seen == [(tile, tile, 3)] * len(tile_boxes((height, width), tile, overlap))


@settings(deadline=None)
@given(st.integers(20, 60), st.integers(20, 60))
def test_a_local_filter_does_the_same_in_tiles(height: int, width: int) -> None:
    """Away from the edges of tiles the result is that of the whole image: a filter sees the same pixels."""
    image, tile, overlap = noise(height, width), 16, 5

    def restore(piece: Image) -> Image:
        return uniform_filter(piece, (3, 3, 1), mode="mirror")

    away = np.ones((height, width), bool)
    for top, left, high, wide in tile_boxes((height, width), tile, overlap):
        away[[row for row in (top, top + high - 1) if 0 < row < height - 1], left : left + wide] = False
        away[top : top + high, [column for column in (left, left + wide - 1) if 0 < column < width - 1]] = False
    tiled, whole = restore_in_tiles(restore, image, tile, overlap), restore(image)
    assert 0.2 < away.mean() < 1
    assert np.array_equal(tiled[away], whole[away])


def test_tiles_that_differ_fade_into_each_other() -> None:
    """Two tiles of other brightness meet in a straight line, without a step."""
    levels = iter([50, 200])
    image = np.zeros((40, 70, 3), np.uint8)
    row = restore_in_tiles(lambda piece: np.full_like(piece, next(levels)), image, 40, 10)[20, :, 0]
    assert row[:30].tolist() == [50] * 30 and row[40:].tolist() == [200] * 30
    steps = np.diff(row[29:41].astype(int))
    assert steps.min() >= 7 and steps.max() <= 16


@pytest.mark.parametrize(("tile", "overlap"), [(16, 16), (16, -1), (0, 0)])
def test_impossible_tiles_are_refused(tile: int, overlap: int) -> None:
    """An overlap that leaves nothing to go on with is a mistake."""
    with pytest.raises(ValueError, match="it must be from 0 to"):
        tile_boxes((64, 64), tile, overlap)
