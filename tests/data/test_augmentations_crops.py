"""random_resize and spot_crop: where and at what scale patches are cut."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.data import Pair
from benchmark.data.augmentations.random_resize import RandomResize
from benchmark.data.augmentations.spot_crop import SpotCrop


def ramp(side):
    """Rises by one level a column; the maps do alike."""
    image = np.broadcast_to(np.arange(side, dtype=np.uint8)[:, None], (side, side, 3)).copy()
    return Pair("ramp", image, image, (image / 1000).astype(np.float16), (image / 500).astype(np.float16))


def slope(values):
    """Mean rise a column, without the two pixels at the edges where a filter sees less."""
    return float(np.diff(values[4:-4, 4:-4].astype(float), axis=1).mean())


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.25, 2.0])
def test_resizing_changes_the_scale_and_not_the_values(scale):
    """A ramp rises 1 / scale a pixel afterwards, in both images and both maps."""
    patch = RandomResize((scale, scale)).crop(ramp(200), 64, np.random.default_rng(0))
    assert np.array_equal(patch.degraded, patch.target)
    assert slope(patch.degraded) == pytest.approx(1 / scale, rel=0.02)
    assert slope(patch.gain) == pytest.approx(1 / scale / 1000, rel=0.02)
    assert slope(patch.spots) == pytest.approx(1 / scale / 500, rel=0.02)
    assert np.abs(patch.gain * 1000 - patch.degraded)[4:-4, 4:-4].max() < 0.6


def test_scales_fill_the_range_log_uniformly():
    """All scales between the two occur; as many enlarge as shrink when the range is symmetric."""
    rng = np.random.default_rng(0)
    augmentation = RandomResize((0.5, 2))
    scales = 1 / np.array([slope(augmentation.crop(ramp(140), 64, rng).degraded) for _ in range(300)])
    assert 0.48 < scales.min() < 0.55 and 1.85 < scales.max() < 2.1
    assert 0.4 < (scales < 1).mean() < 0.6


def test_shrinking_does_not_alias():
    """A checkerboard of single pixels becomes grey, and not another checkerboard."""
    rows, columns = np.indices((200, 200))
    board = np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, 2)
    patch = RandomResize((0.45, 0.45)).crop(Pair("board", board, board), 64, np.random.default_rng(0))
    inside = patch.degraded[4:-4, 4:-4].astype(float)
    assert abs(inside.mean() - 127.5) < 2 and inside.std() < 15


def test_an_image_with_too_few_pixels_is_used_whole():
    """A patch of 64 from 80 pixels can be shrunk to 0.8 at most, so smaller scales become that."""
    patch = RandomResize((0.5, 0.5)).crop(ramp(80), 64, np.random.default_rng(0))
    assert slope(patch.degraded) == pytest.approx(80 / 64, rel=0.02)


def spotted(side, row, column):
    """A grey pair with one dark square of 3 pixels around a place, cut off where the image ends."""
    target = np.full((side, side, 3), 150, np.uint8)
    degraded = target.copy()
    degraded[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] -= 50
    return Pair("spotted", degraded, target)


@pytest.mark.parametrize(("row", "column"), [(200, 120), (0, 0), (299, 299), (3, 290)])
def test_a_crop_has_the_spot_near_its_middle(row, column):
    """It lies in the middle half, or as near to it as the edge of the image allows, and not always at one place."""
    pair, found = spotted(300, row, column), []
    for seed in range(60):
        patch = SpotCrop(share=1).crop(pair, 64, np.random.default_rng(seed))
        rows, columns = np.nonzero((patch.degraded != patch.target).any(2))
        found += [(rows.mean(), columns.mean())] if rows.size else []
    assert len(found) > 25  # a corner is in fewer of the squares that are searched
    near, far = (min(row, column) <= 3, max(row, column) >= 290)
    assert near or np.min(found) >= 15
    assert far or np.max(found) <= 49
    assert near or far or np.std(found, axis=0).min() > 5


def test_the_share_is_kept():
    """Half of the patches are cut at the spot, the others hardly ever meet it by chance."""
    pair, rng = spotted(256, 130, 130), np.random.default_rng(0)
    hits = [(p.degraded != p.target).any() for p in (SpotCrop(share=0.5).crop(pair, 16, rng) for _ in range(400))]
    assert 0.42 < np.mean(hits) < 0.6


def test_a_clean_image_is_cut_anywhere():
    """Without spots the crop is uniform: patches from all four quarters of the image come."""
    clean = ramp(120)
    rng = np.random.default_rng(0)
    lefts = [int(SpotCrop(share=1).crop(clean, 32, rng).degraded[0, 0, 0]) for _ in range(100)]
    assert min(lefts) < 10 and max(lefts) > 78


def test_the_threshold_is_an_option():
    """Damage below the threshold does not draw the crop."""
    pair, rng = spotted(256, 130, 130), np.random.default_rng(0)
    hits = [
        (patch.degraded != patch.target).any()
        for patch in (SpotCrop(share=1, threshold_levels=50).crop(pair, 16, rng) for _ in range(100))
    ]
    assert np.mean(hits) < 0.2


def test_maps_are_cut_with_the_images():
    """The maps of a crop are those of its place."""
    pair = spotted(100, 50, 50)
    damage = ((pair.target - pair.degraded) / 255).astype(np.float16)
    with_maps = replace(pair, gain=np.zeros_like(damage), spots=damage)
    patch = SpotCrop(share=1).crop(with_maps, 32, np.random.default_rng(0))
    assert patch.spots.any()
    assert np.array_equal(patch.spots, ((patch.target - patch.degraded) / 255).astype(np.float16))
