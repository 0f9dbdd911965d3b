"""Metrics of predicted maps: against cases done by hand, and what is absent when."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data import Pair, Source
from benchmark.evaluation.evaluate import Restored, best_constants, evaluate, score_maps
from reports.metrics import MAP_METRICS


def example(gain=0.02, spots=-0.1, severe_columns=3):
    """A pair `8 10` with constant maps, of which some columns changed by 40 levels and the others by 30."""
    degraded = np.full((8, 10, 3), 100, np.uint8)
    target = degraded + np.where(np.arange(10) < severe_columns, 40, 30).astype(np.uint8)[:, None] * [0, 1, 0]
    maps = [np.full((8, 10, 3), value, np.float16) for value in (gain, spots)]
    return Pair("p", degraded, target.astype(np.uint8), *maps)


def constant(*channels):
    """A map `8 10 C` of constant channels."""
    return np.broadcast_to(np.array(channels, np.float32), (8, 10, len(channels)))


def columns(first, last):
    """A mask that is sure of some columns."""
    inside = (np.arange(10) >= first) & (np.arange(10) < last)
    return np.tile(np.where(inside, 0.9, 0.1).astype(np.float32), (8, 1))[..., None]


def test_errors_of_gain_and_spots():
    """K's error is in per cent, D's in 8-bit levels, both mean absolute errors over pixels and channels."""
    pair = example()
    scores = score_maps({"gain": constant(0.01, 0.02, 0.05), "spots": constant(-0.1, -0.3, 0.1)}, pair, {})
    assert scores == {
        "gain_error": pytest.approx(100 * 0.04 / 3, rel=1e-3),
        "spots_error": pytest.approx(255 * 0.4 / 3, rel=1e-3),
    }


def test_error_of_a_common_gain():
    """A K of one channel is compared with the mean of the true one over RGB."""
    pair = example(gain=[0.0, 0.02, 0.04])
    assert score_maps({"gain": constant(0.05)}, pair, {})["gain_error"] == pytest.approx(3, rel=1e-3)


def test_best_constants_are_the_medians():
    """Of true maps of 0.1, 0.2 and 0.6 it is 0.2 in each channel; the one for all channels is the median of means."""
    pairs = [example(gain=[gain, 2 * gain, 0], spots=gain) for gain in (0.6, 0.1, 0.2)]
    constants = best_constants(pairs)
    assert constants["gain"] == pytest.approx([0.2, 0.4, 0, 0.2], rel=1e-3)
    assert constants["spots"] == pytest.approx([0.2] * 4, rel=1e-3)
    assert best_constants([Pair("p", pairs[0].degraded, pairs[0].target)]) == {}


@given(st.integers(0, 2**32 - 1), st.floats(-0.2, 0.2))
def test_no_constant_is_better_than_the_best(seed, other):
    """On the images the best constants are made of, any other constant has a larger mean error."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, 0.1, (3, 2, 8, 10, 3)).astype(np.float16)
    pairs = [replace(example(), gain=gain, spots=spots) for gain, spots in maps]
    constants = best_constants(pairs)
    for channels in (1, 3):
        guess = {"gain": constant(*[other] * channels), "spots": constant(other, other, other)}
        scores = [score_maps(guess, pair, constants) for pair in pairs]
        for name in ("gain_error", "spots_error"):
            assert sum(s[f"{name}_constant"] for s in scores) <= sum(s[name] for s in scores) + 1e-5


def test_the_error_of_a_constant_stands_beside_that_of_the_map():
    """A predicted map that is the constant has its error; a map that the head does not predict has neither."""
    pairs = [example(gain=gain) for gain in (0.0, 0.1, 0.4)]
    constants = best_constants(pairs)
    scores = score_maps({"gain": constant(0.1, 0.1, 0.1)}, pairs[2], constants)
    assert scores == pytest.approx({"gain_error": 30, "gain_error_constant": 30}, rel=1e-3)


@pytest.mark.parametrize(("first", "last", "expected"), [(0, 3, 1), (0, 6, 0.5), (2, 5, 0.2), (5, 9, 0), (0, 0, 0)])
def test_overlap_of_the_region(first, last, expected):
    """The region is what changed by more than 30 levels, not dilated; shared pixels divided by those of either."""
    assert score_maps({"mask": columns(first, last)}, example(), {})["region_iou"] == pytest.approx(expected)


def test_what_nobody_knows_is_absent():
    """A map that the head or the pair does not have gives no number, nor do two empty regions."""
    pair = example(severe_columns=0)
    bare = Pair("p", pair.degraded, pair.target)
    maps = {"gain": constant(0.0), "spots": constant(0, 0, 0), "mask": columns(0, 0), "proposal": constant(1, 1, 1)}
    assert score_maps({}, pair, {}) == {}
    assert set(score_maps(maps, pair, {})) == {"gain_error", "spots_error"}
    assert score_maps(maps, bare, best_constants([pair])) == {}


class One(Source):
    """A source of one pair."""

    origin = "this test"
    fingerprint = "0"

    def __len__(self):
        return 1

    def read(self, index):
        return example()


def test_maps_are_scored_with_the_image():
    """What restores with maps is scored on them, too, in the order of the metrics; what restores without is not."""
    maps = {"mask": columns(0, 3), "spots": constant(0, 0, 0), "gain": constant(0, 0, 0)}
    constants = best_constants([example()])
    (plain,), (mapped,) = (list(evaluate(f, One(), constants)) for f in (np.copy, lambda image: Restored(image, maps)))
    assert not set(plain.metrics) & set(MAP_METRICS)
    assert list(mapped.metrics) == [*plain.metrics, *MAP_METRICS]
    assert {name: mapped.metrics[name] for name in plain.metrics} == plain.metrics
