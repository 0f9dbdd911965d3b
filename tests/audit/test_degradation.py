"""The degradation of pairs in detail and as a few numbers; swapped pairs."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.audit.degradation import Statistics, analyse, statistics, summary
from benchmark.audit.outliers import brighter_damage, find_swapped
from benchmark.data import Pair
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
    """A target that is gain * degraded + offset gives these back, up to what rounding to 8 bits can change.

    Rounding moves each value by at most half a level: the line at the mean by no more, its slope by no more than half a
    mean absolute deviation over the variance. The fit itself is that of numpy.
    """
    degraded, _ = pair(1)
    target = np.uint8(np.round(gain * degraded + offset))
    found = analyse(degraded, target)
    for channel in range(3):
        before, after = (image[..., channel].ravel().astype(float) for image in (degraded, target))
        fit = found.gain[channel], found.offset[channel]
        assert fit == pytest.approx(tuple(np.polyfit(before, after, 1)), abs=1e-6)
        assert abs((fit[0] - gain) * before.mean() + fit[1] - offset) <= 0.5 + 1e-9
        assert abs(fit[0] - gain) <= 0.5 * np.abs(before - before.mean()).mean() / before.var() + 1e-9


def test_swapped_pairs_of_spotted_faces_are_found() -> None:
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


SIDE_PX = 40


@pytest.fixture
def spotted() -> Pair:
    """Ten by four pixels are 50 levels darker, a pixel beside is 31 darker, one far off only 30; else 2 levels off."""
    target = np.full((SIDE_PX, SIDE_PX, 3), 200, np.uint8)
    degraded = target - np.uint8(2)
    degraded[4:14, 5:9, 1] = 150
    degraded[14, 9, 2] = 169
    degraded[30, 30] = 170
    return Pair("one", degraded, target)


def test_numbers_are_those_of_the_damage(spotted: Pair) -> None:
    """Share, number and radius count what is over 30 levels in any channel; corners connect."""
    found = statistics(spotted)
    assert found.over_30_percent == 100 * 41 / SIDE_PX**2
    assert found.regions == 1
    assert found.radius_px == pytest.approx((41 / np.pi) ** 0.5)
    squares = (spotted.degraded.astype(float) - spotted.target) ** 2
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2 / squares.mean()))


def test_background_is_where_the_source_knows_no_spot(spotted: Pair) -> None:
    """Only pixels whose spots are below 4 levels count; without the map there is no background."""
    spots = np.zeros(spotted.target.shape, np.float16)
    spots[4:15, 5:10] = spots[30, 30] = 50 / 255
    spots[0] = 3 / 255
    known = replace(spotted, spots=spots)
    assert statistics(known).background_db == pytest.approx(10 * np.log10(255**2 / 2**2))
    assert statistics(spotted).background_db is None
    assert statistics(replace(spotted, spots=np.ones_like(spots))).background_db is None


def test_equal_images_have_no_regions(spotted: Pair) -> None:
    """Nothing is over, no radius is invented, and PSNR has no bound."""
    found = statistics(replace(spotted, degraded=spotted.target))
    assert (found.over_30_percent, found.regions, found.radius_px, found.psnr_db) == (0, 0, None, np.inf)


def test_summary_leaves_out_what_is_not_there() -> None:
    """Median and range are over the pairs that have the number; where none has it there is a dash."""
    few, many = Statistics(40, None, 0.01, 4, 1.5), Statistics(42, None, 0.03, 8, 2.5)
    none = Statistics(np.inf, None, 0, 0, None)
    text = {line[:24].strip(): line[24:] for line in summary([few, many, none])}
    assert text["median [5 % to 95 %]"] == "of 3 pairs"
    assert text["PSNR of degraded"] == "41.0 dB [40.1 to 41.9]"
    assert text["PSNR without spots"] == "-"
    assert text["pixels over 30 levels"] == "0.010 % [0.001 to 0.028]"
    assert text["regions over 30 levels"] == "4 [0 to 8]"
    assert text["their radius"] == "2.00 px [1.55 to 2.45]"
