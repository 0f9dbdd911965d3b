"""Images restored in tiles look as if restored as a whole."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from benchmark.inference.tiles import Tiling, local_radius, restore_in_tiles, tile_boxes, tiling_for
from benchmark.model import Restorer, restore_image

Image = NDArray[np.uint8]
CPU = torch.device("cpu")


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
    """With an identity every pixel survives, once for each box; a side shorter than a tile is restored as it is."""
    height, width, tile, overlap = tiling
    image, seen = noise(height, width), []

    def restore(piece: Image) -> Image:
        seen.append(piece.shape)
        return piece

    assert np.array_equal(restore_in_tiles(restore, image, Tiling(tile, overlap)), image)
    assert seen == [(min(tile, height), min(tile, width), 3)] * len(tile_boxes((height, width), tile, overlap))


@settings(deadline=None)
@given(st.integers(20, 60), st.integers(20, 60))
def test_a_local_filter_does_the_same_in_tiles(height: int, width: int) -> None:
    """The result is that of the whole image: what saw the edge of a tile, one pixel, is within the margin."""
    image = noise(height, width)

    def restore(piece: Image) -> Image:
        return uniform_filter(piece, (3, 3, 1), mode="mirror")

    for tiling in (Tiling(16, 5), Tiling(16, 2, 1), Tiling(16, 9, 3)):
        assert np.array_equal(restore_in_tiles(restore, image, tiling), restore(image))
    if max(height, width) > 24:
        assert not np.array_equal(restore_in_tiles(restore, image, Tiling(16, 5, 0)), restore(image))


LOCAL = {
    "dncnn": {"width": 4, "depth": 4, "norm": "none"},
    "unet": {"width": 4, "levels": 2},
}


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("sides", [(150, 131), (90, 210), (20, 140), (40, 50), (1, 120)])
def test_a_local_network_gives_the_image_restored_whole(
    make_network: Callable[[dict[str, Any]], Restorer], name: str, sides: tuple[int, int]
) -> None:
    """Exactly, with sides that need padding and those that do not, larger and smaller than a tile."""
    network = make_network({"name": name, **LOCAL[name]}).eval()
    image = np.random.default_rng(0).integers(60, 200, (*sides, 3), np.uint8)
    tiling, note = tiling_for(network, 96, 8, CPU)
    assert not note and tiling.margin

    def restore(piece: Image) -> Image:
        return restore_image(network, piece, CPU)

    whole = restore(image)
    assert np.abs(whole.astype(int) - image).mean() > 2
    assert np.array_equal(restore_in_tiles(restore, image, tiling), whole)


def test_the_radius_is_that_of_the_convolutions(make_network: Callable[[dict[str, Any]], Restorer]) -> None:
    """Three layers of 3 x 3 and a head of 3 x 3 look four pixels far; the overlap of tiles becomes twice that."""
    network = make_network({"name": "dncnn", **LOCAL["dncnn"]}).eval()
    assert local_radius(network, 64, CPU) == 4
    assert tiling_for(network, 64, 4, CPU)[0].overlap == 8
    assert tiling_for(network, 64, 40, CPU)[0].overlap == 40


@pytest.mark.parametrize(
    "backbone", [{"name": "nafnet", "width": 4, "depths": [1, 1, 1]}, {"name": "rlfn", "width": 4, "depth": 1}]
)
def test_a_network_that_is_not_local_is_told(
    make_network: Callable[[dict[str, Any]], Restorer], backbone: dict[str, Any]
) -> None:
    """NAFNet pools the whole image, RLFN resizes to its size: no overlap makes tiles exact, and none is widened."""
    tiling, note = tiling_for(make_network(backbone).eval(), 128, 10, CPU)
    assert (tiling.tile, tiling.overlap, tiling.margin) == (128, 10, None)
    assert note.startswith("the network looks farther than a tile, or depends on its size: in tiles of 128 pixels")


def test_tiles_are_multiples_of_what_the_network_works_in(
    make_network: Callable[[dict[str, Any]], Restorer],
) -> None:
    """Four halvings work in 16 pixels: a tile of 100 becomes one of 112, an overlap of 9 one of 16."""
    tiling, _ = tiling_for(make_network({"name": "unet", "width": 2, "levels": 4}).eval(), 100, 9, CPU)
    assert (tiling.tile, tiling.overlap, tiling.multiple_of) == (112, 16, 16)


def test_tiles_that_differ_fade_into_each_other() -> None:
    """Two tiles of other brightness meet in a straight line, without a step."""
    levels = iter([50, 200])
    image = np.zeros((40, 70, 3), np.uint8)
    row = restore_in_tiles(lambda piece: np.full_like(piece, next(levels)), image, Tiling(40, 10))[20, :, 0]
    assert row[:32].tolist() == [50] * 32 and row[38:].tolist() == [200] * 32
    steps = np.diff(row[31:39].astype(int))
    assert steps.min() >= 12 and steps.max() <= 26


@pytest.mark.parametrize(("tile", "overlap"), [(16, 16), (16, -1), (0, 0)])
def test_impossible_tiles_are_refused(tile: int, overlap: int) -> None:
    """An overlap that leaves nothing to go on with is a mistake."""
    with pytest.raises(ValueError, match="it must be from 0 to"):
        tile_boxes((64, 64), tile, overlap)
