"""What lies between degraded and target, and which pairs changed places."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.audit.degradation import analyse
from benchmark.audit.swapped_pairs import brighter_damage, find_swapped
from benchmark.data.sources.synthetic_faces import SyntheticFaces


def pair(seed: int = 0, side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(60, 200, (side, side, 3)).astype(np.uint8)
    return target.copy(), target


def test_equal_images_have_no_degradation() -> None:
    """Nothing differs: no severe pixel, no energy to share, gain 1, offset 0, PSNR without bound."""
    found = analyse(*pair())
    assert (found.psnr_db, found.severe_share, found.severe_energy, found.damage) == (inf, 0.0, None, None)
    assert found.histogram[0] == 48 * 48 and sum(found.histogram) == 48 * 48
    assert np.allclose(found.gain, 1) and np.allclose(found.offset, 0, atol=1e-9)


def test_a_spot_is_counted_apart_from_the_background() -> None:
    """Share, energy, area and colour of a spot are those that were drawn; the fit does not see it."""
    degraded, target = pair()
    degraded[10:16, 20:26] -= np.array([10, 50, 40], np.uint8)
    degraded[40, 40] -= np.uint8(45)
    degraded[0] += np.uint8(3)
    found = analyse(degraded, target)
    severe = 36 * (10**2 + 50**2 + 40**2) + 3 * 45**2
    assert found.severe_share == 37 / 48**2
    assert found.severe_energy == severe / (severe + 48 * 3 * 9)
    assert found.regions == (1, 0, 0, 0, 0, 1)  # one of 1 pixel, one of 32 to 63
    assert found.damage == pytest.approx(((-360 - 45) / 37, (-1800 - 45) / 37, (-1440 - 45) / 37))
    assert (found.histogram[3], found.histogram[45], found.histogram[50]) == (48, 1, 36)
    assert np.allclose(found.gain, 1, atol=0.01)


@given(gain=st.floats(0.9, 1.1), offset=st.floats(-8, 8))
def test_gain_and_offset_are_recovered(gain: float, offset: float) -> None:
    """A target that is gain * degraded + offset gives these back, up to the rounding to 8 bits."""
    degraded, _ = pair(1)
    found = analyse(degraded, np.uint8(np.round(gain * degraded + offset)))
    assert np.allclose(found.gain, gain, atol=0.01) and np.allclose(found.offset, offset, atol=1.2)


def test_swapped_pairs_of_spotted_faces_are_told() -> None:
    """Two of eight pairs that changed places are found; in the set as it is none is."""
    source = SyntheticFaces(preset="severe", count=8, size=128, seed=3)
    pairs = [source.read(index) for index in range(8)]
    straight = [analyse(one.degraded, one.target).damage for one in pairs]
    turned = [analyse(one.target, one.degraded).damage for one in pairs]
    assert find_swapped(straight) == [] and not brighter_damage(straight)
    assert find_swapped([*straight[:2], *turned[2:4], *straight[4:]]) == [2, 3]
    assert find_swapped(turned) == [] and brighter_damage(turned)


def test_without_a_usual_direction_nothing_is_said() -> None:
    """Few pairs, pairs without severe pixels, noise of both signs, and damage in all directions are undecidable."""
    dark = (-40.0, -60.0, -50.0)
    assert find_swapped([dark] * 4) is None
    assert find_swapped([dark] * 4 + [None] * 9) is None
    assert find_swapped([(-2.0, 1.0, 2.0)] * 9) is None
    everywhere = [tuple(60 * row) for row in np.vstack([np.eye(3), -np.eye(3)])]
    assert find_swapped(everywhere) is None
