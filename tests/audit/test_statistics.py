"""The numbers that two sets of pairs are compared by."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.audit.statistics import Statistics, statistics, summary
from benchmark.data import Pair

SIDE_PX = 40


@pytest.fixture
def pair() -> Pair:
    """Ten by four pixels are 50 levels darker, a pixel beside is 31 darker, one far off only 30; else 2 levels off."""
    target = np.full((SIDE_PX, SIDE_PX, 3), 200, np.uint8)
    degraded = target - np.uint8(2)
    degraded[4:14, 5:9, 1] = 150
    degraded[14, 9, 2] = 169
    degraded[30, 30] = 170
    return Pair("one", degraded, target)


def test_numbers_are_those_of_the_damage(pair: Pair) -> None:
    """Share, number and radius count what is over 30 levels in any channel; corners connect."""
    found = statistics(pair)
    assert found.over_30_percent == 100 * 41 / SIDE_PX**2
    assert found.regions == 1
    assert found.radius_px == pytest.approx((41 / np.pi) ** 0.5)
    squares = (pair.degraded.astype(float) - pair.target) ** 2
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2 / squares.mean()))


def test_background_is_where_the_source_knows_no_spot(pair: Pair) -> None:
    """Only pixels whose spots are below 4 levels count; without the map there is no background."""
    spots = np.zeros(pair.target.shape, np.float16)
    spots[4:15, 5:10] = spots[30, 30] = 50 / 255
    spots[0] = 3 / 255
    known = replace(pair, spots=spots)
    assert statistics(known).background_db == pytest.approx(10 * np.log10(255**2 / 2**2))
    assert statistics(pair).background_db is None
    assert statistics(replace(pair, spots=np.ones_like(spots))).background_db is None


def test_equal_images_have_no_regions(pair: Pair) -> None:
    """Nothing is over, no radius is invented, and PSNR has no bound."""
    found = statistics(replace(pair, degraded=pair.target))
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
