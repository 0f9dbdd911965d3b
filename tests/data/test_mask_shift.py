"""mask_shift: the same damage again, elsewhere."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import Pair
from benchmark.data.augmentations.mask_shift import MaskShift
from benchmark.data.sources.synthetic_faces import SyntheticFaces

SIDE_PX = 100
CENTRE = (45, 40)


def spot(skin=(200, 160, 140), *, gain=1.0, radius_px=6.0):
    """A pair of one tone with a soft round spot that lets half of the light through; `gain` darkens all."""
    rows, columns = np.indices((SIDE_PX, SIDE_PX))
    distance = np.hypot(rows - CENTRE[0], columns - CENTRE[1])
    passed = 1 - 0.5 / (1 + np.exp(distance - radius_px))
    target = np.broadcast_to(np.array(skin, float), (SIDE_PX, SIDE_PX, 3))
    return Pair("spot", *(np.rint(image).astype(np.uint8) for image in (gain * passed[..., None] * target, target)))


def with_other_tone(pair, columns, tone):
    """The pair with a stripe of columns in another tone, without spots there."""
    images = pair.degraded.copy(), pair.target.copy()
    for image in images:
        image[:, columns] = tone
    return replace(pair, degraded=images[0], target=images[1])


def shifted(pair, seed, **options):
    return MaskShift(probability=1, **options).apply(pair, np.random.default_rng(seed))


def centre_of_new(before, after):
    """Row and column of the middle of what was added, or None."""
    rows, columns = np.nonzero((before.degraded != after.degraded).any(2))
    return (rows.mean(), columns.mean()) if rows.size else None


@lru_cache
def faces():
    return SyntheticFaces("severe", 1, 128, seed=0).read(0)


@pytest.mark.parametrize("gain", [1.0, 0.94], ids=["no gain", "gain"])
def test_the_spot_comes_again_and_the_old_one_stays(gain):
    """What is added is the old spot moved by the offset, soft edge included, to within two levels."""
    pair = spot(gain=gain)
    after = shifted(pair, 3)
    row, column = centre_of_new(pair, after)
    down, right = round(row - CENTRE[0]), round(column - CENTRE[1])
    expected = np.roll(pair.degraded, (down, right), (0, 1)).astype(int)
    new = (pair.degraded != after.degraded).any(2)
    assert np.abs(after.degraded.astype(int) - expected)[new].max() <= 2
    assert new.sum() > 150
    assert after.target is pair.target
    old = (pair.degraded < 0.9 * gain * pair.target).any(2)
    assert old.any() and not (new & old).any()


def test_offsets_go_in_all_directions_and_as_far_as_asked():
    """Up, down, left, right and other angles; between a tenth and a quarter of the side."""
    pair = spot()
    centres = [centre_of_new(pair, shifted(pair, seed, reach=(0.2, 0.25))) for seed in range(80)]
    offsets = np.array([np.subtract(centre, CENTRE) for centre in centres if centre])
    assert len(offsets) > 75
    distances = np.hypot(*offsets.T)
    assert distances.min() > 19 and distances.max() < 27
    straight = np.abs(offsets) < 0.8
    for axis in (0, 1):
        along = offsets[straight[:, 1 - axis], axis]
        assert (along > 0).sum() >= 6 and (along < 0).sum() >= 6
    assert (~straight.any(1)).sum() >= 6


def test_a_spot_takes_the_same_share_of_light_on_darker_skin():
    """On skin of two thirds of the brightness the copy leaves half of the light, not the old colour."""
    pair = with_other_tone(spot(), slice(55, None), (140, 110, 95))
    done = [shifted(pair, seed, reach=(0.3, 0.4), likeness_levels=80) for seed in range(40)]
    copies = [after for after in done if (centre := centre_of_new(pair, after)) and centre[1] > 65]
    assert copies
    for after in copies:
        darkest = (after.degraded / after.target)[:, 55:].min(axis=(0, 1))
        assert np.abs(darkest - 0.5).max() < 0.03


def test_it_does_not_land_on_what_is_no_skin():
    """Hair, dark beside the skin, keeps every pixel; without the rule it would not."""
    pair = with_other_tone(spot(), slice(60, None), (30, 25, 20))
    hair = (slice(None), slice(63, None))  # the tones are compared without pores, over three pixels around
    kept = [np.array_equal(shifted(pair, seed).degraded[hair], pair.degraded[hair]) for seed in range(40)]
    careless = [shifted(pair, seed, likeness_levels=255).degraded[hair] for seed in range(40)]
    assert all(kept)
    assert any(not np.array_equal(image, pair.degraded[hair]) for image in careless)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_maps_move_along(seed):
    """K stays, D changes only where the image does, and the equation is off by exactly what it was off before."""
    pair = faces()
    after = shifted(pair, seed)
    changed = (after.degraded != pair.degraded).any(2)
    assert after.gain is pair.gain
    assert np.array_equal(after.spots[~changed], pair.spots[~changed])

    def residual_levels(one):
        return one.target - (1 + pair.gain.astype(float)) * one.degraded - 255 * one.spots.astype(float)

    assert np.abs(residual_levels(after) - residual_levels(pair)).max() < 0.15


def test_old_damage_is_never_touched():
    """On a face with many spots no pixel over the threshold changes, and more are over it afterwards."""
    pair = faces()
    over = (np.abs(pair.target.astype(int) - pair.degraded) > 30).any(2)
    more = 0
    for seed in range(10):
        after = shifted(pair, seed)
        assert np.array_equal(after.degraded[over], pair.degraded[over])
        more += int((np.abs(pair.target.astype(int) - after.degraded) > 30).any(2).sum() > over.sum())
    assert more >= 8


def test_a_patch_without_spots_stays_as_it_is():
    """Damage below the threshold is not moved."""
    pair = spot()
    faint = replace(pair, degraded=np.maximum(pair.degraded, pair.target - 25))
    assert shifted(faint, 0) is faint
    assert shifted(replace(pair, degraded=pair.target), 0).degraded is pair.target


def test_probability_is_the_share_of_changed_patches():
    """Half of the patches by default."""
    pair, rng, augmentation = spot(), np.random.default_rng(0), MaskShift()
    assert 0.4 < np.mean([augmentation.apply(pair, rng) is not pair for _ in range(300)]) < 0.6
