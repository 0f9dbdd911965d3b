"""Intervals and verdicts of differences, against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.intervals import compare, is_covered, verdict_of
from reports.statistics.seed_noise import prior_degrees, seed_noise


def table(rng, rows=4, seeds=3, images=12, noise=0.1):
    """Return row -> scores, and row -> group, with all rows in one seed-noise group."""
    names = ["base", *(f"row{place}" for place in range(1, rows))]
    common = rng.normal(30, 1, images)
    scores = {
        name: common + noise * rng.normal(size=(seeds, 1)) + 0.1 * rng.normal(size=(1, images))
        + 0.05 * rng.normal(size=(seeds, images))
        for name in names
    }  # fmt: skip
    return scores, dict.fromkeys(names[1:], "0")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.2, 0.4, "gain"),
        (0.05, 0.4, "gain"),
        (0.01, 0.09, "negligible gain"),
        (-0.4, -0.2, "loss"),
        (-0.09, -0.01, "negligible loss"),
        (-0.05, 0.05, "equivalent"),
        (-0.3, 0.05, "no gain"),
        (-0.05, 0.3, "inconclusive"),
        (-0.3, 0.3, "inconclusive"),
    ],
)
def test_the_verdict_follows_from_the_interval(low, high, expected):
    """Each of the seven verdicts belongs to a range of intervals, with an equivalence margin of 0.1."""
    assert verdict_of(low, high, 0.1) == expected


@given(st.floats(-1, 1), st.floats(0, 2), st.floats(0, 0.5))
def test_gain_and_loss_mirror_each_other(low, width, margin):
    """The mirrored interval turns gain into loss, and keeps what is equivalent."""
    mirrored = {"gain": "loss", "loss": "gain", "negligible gain": "negligible loss", "equivalent": "equivalent"}
    verdict = verdict_of(low, low + width, margin)
    if verdict in mirrored:
        assert verdict_of(-(low + width), -low, margin) == mirrored[verdict]


def test_a_pair_without_image_noise_is_students_paired_test():
    """If all images agree, the interval is that of a paired t test over the seeds."""
    by_seed = np.array([0.3, 0.5, 0.1, 0.45])
    base = np.random.default_rng(0).normal(30, 1, (4, 10))
    found = compare(
        {"base": base, "row": base + by_seed[:, None]},
        "base",
        noise_groups={"row": "0"},
        comparisons=1,
    )["row"]
    expected = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.resolution == pytest.approx((expected.high - expected.low) / 2)


def test_a_pair_without_seed_noise_is_students_paired_test_over_images():
    """If all seeds agree, the interval is that of a paired t test over the images."""
    rng = np.random.default_rng(1)
    base, by_image = rng.normal(30, 1, (3, 10)), rng.normal(0.2, 0.3, 10)
    found = compare({"base": base, "row": base + by_image}, "base", noise_groups={"row": "0"}, comparisons=1)["row"]
    expected = stats.ttest_1samp(by_image, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.precision.needed(0.5 * found.resolution).seeds is None  # no seed can help


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 5), st.floats(-5, 5))
def test_what_all_rows_share_cancels(seed, rows, seeds, shift):
    """Harder images or a lucky seed change nothing; negative scores mirror the interval."""
    rng = np.random.default_rng(seed)
    scores, noise_groups = table(rng, rows, seeds)
    common = shift * rng.normal(size=(seeds, 1)) + rng.normal(size=12)
    found = compare(scores, "base", noise_groups=noise_groups, comparisons=1)
    shifted = compare(
        {row: one + common for row, one in scores.items()},
        "base",
        noise_groups=noise_groups,
        comparisons=1,
    )
    turned = compare(
        {row: -one for row, one in scores.items()},
        "base",
        noise_groups=noise_groups,
        comparisons=1,
    )
    for row, one in found.items():
        assert one.low <= one.difference <= one.high
        assert (shifted[row].low, shifted[row].high) == pytest.approx((one.low, one.high), abs=1e-9)
        assert (turned[row].low, turned[row].high) == pytest.approx((-one.high, -one.low), abs=1e-9)


def test_more_comparisons_widen_the_interval():
    """A table of many rows needs wider intervals to hold together."""
    scores, noise_groups = table(np.random.default_rng(2))
    one, three, ten = (
        compare(scores, "base", noise_groups=noise_groups, comparisons=number)["row1"].resolution
        for number in (1, 3, 10)
    )
    assert one < three < ten


def test_only_rows_of_one_seed_noise_group_are_pooled():
    """A row in a group of its own uses its own seeds alone, however many rows the table has."""
    scores, noise_groups = table(np.random.default_rng(3), rows=6)
    found = compare(scores, "base", noise_groups=noise_groups | {"row5": "1"}, comparisons=1)
    assert {row: one.pooled for row, one in found.items()} == dict.fromkeys(("row1", "row2", "row3", "row4"), 5) | {
        "row5": 2
    }
    alone = compare(
        {row: scores[row] for row in ("base", "row5")},
        "base",
        noise_groups={"row5": "1"},
        comparisons=1,
    )
    assert (alone["row5"].low, alone["row5"].high) == (found["row5"].low, found["row5"].high)


def test_a_clearly_noisier_row_is_not_pooled():
    """Ten times the noise over five seeds: the row is alone, the others are pooled without it."""
    rng = np.random.default_rng(4)
    means = rng.normal(0, 0.1, (8, 5))
    means[3] *= 10
    noise = seed_noise(means)
    assert noise.pooled.tolist() == [7, 7, 2, 7, 7, 7, 7]
    assert noise.variance[2] == pytest.approx(np.var(means[3] - means[0], ddof=1) / 5)


def test_a_clearly_noisier_base_ends_all_pooling():
    """Its noise is in every difference, so no row may use the noise of quieter ones."""
    means = np.random.default_rng(5).normal(0, 0.1, (8, 5))
    means[0] *= 10
    assert seed_noise(means).pooled.tolist() == [2] * 7


@pytest.mark.parametrize("seeds_now", [3, 5])
def test_the_seeds_needed_reach_the_half_width(seeds_now):
    """With that many seeds of the same noise, half-widths come near it; a wider one needs fewer seeds."""
    scores, noise_groups = table(np.random.default_rng(6), rows=8, seeds=seeds_now, images=400, noise=0.3)
    precision = compare(scores, "base", noise_groups=noise_groups, comparisons=7)["row1"].precision
    needed = [precision.needed(half_width).seeds for half_width in (0.2, 0.4, 9.0)]
    assert needed[0] is not None and needed[1] is not None
    assert needed[0] > needed[1] > needed[2] == seeds_now
    more, _ = table(np.random.default_rng(7), rows=8, seeds=needed[0], images=400, noise=0.3)
    found = compare(more, "base", noise_groups=noise_groups, comparisons=7)
    assert 0.12 < np.mean([one.resolution for one in found.values()]) < 0.28


def test_needed_seeds_and_images_are_just_enough():
    """The next smaller number is not; where images limit, no number of seeds is enough; a hundred is no limit."""
    scores, noise_groups = table(np.random.default_rng(8), rows=8, seeds=5, images=24, noise=0.3)
    precision = compare(scores, "base", noise_groups=noise_groups, comparisons=7)["row1"].precision
    floor = precision.with_evidence(10**6, 24).half_width
    fine = precision.needed(1.02 * floor)
    assert fine.seeds is not None and fine.seeds > 100
    assert precision.with_evidence(fine.seeds, 24).half_width <= 1.02 * floor
    assert precision.with_evidence(fine.seeds - 1, 24).half_width > 1.02 * floor
    finer = precision.needed(0.5 * floor)
    assert finer.seeds is None
    assert precision.with_evidence(*finer.together).half_width <= 0.5 * floor
    assert finer.together[1] / 24 == pytest.approx(finer.together[0] / 5, rel=0.05)


def test_half_of_the_studies_of_the_needed_size_resolve_such_a_difference():
    """A true difference of the half-width is found in about half of 60 simulated studies: a chance of 50 %."""
    rng = np.random.default_rng(9)
    scores, noise_groups = table(rng, rows=4, seeds=5, images=40, noise=0.3)
    needed = compare(scores, "base", noise_groups=noise_groups, comparisons=3)["row1"].precision.needed(0.4).seeds
    assert needed is not None
    studies = [table(rng, rows=4, seeds=needed, images=40, noise=0.3)[0] for _ in range(60)]
    gains = [
        compare(study | {"row1": study["row1"] + 0.4}, "base", noise_groups=noise_groups, comparisons=3)["row1"].low > 0
        for study in studies
    ]
    assert 0.3 < np.mean(gains) < 0.75


def test_a_pool_counts_for_more_where_rows_are_equally_noisy():
    """Over 40 rows and 5 seeds: many degrees of freedom for equal noise, few for noise that varies by a factor of e."""
    rng = np.random.default_rng(10)
    kept = np.ones(40, dtype=bool)
    equal = rng.chisquare(4, 40)
    unequal = equal * np.exp(2 * rng.normal(size=40))
    assert 12 < prior_degrees(equal, kept, 4.0) <= 16  # a pool counts for at most 4 * 4
    assert prior_degrees(unequal, kept, 4.0) < 2


def test_rows_that_are_noisier_share_a_pool_of_their_own():
    """Four of twelve rows with ten times the noise: the quiet ones pool as if they were not there."""
    means = np.random.default_rng(11).normal(0, 0.1, (12, 6))
    means[8:] *= 10
    noise = seed_noise(means)
    assert noise.pooled.tolist() == [8] * 7 + [4] * 4
    assert noise.variance[:7].max() < 0.1 * noise.variance[7:].min()
    assert noise.degrees_of_freedom[7:].min() > 5


@pytest.mark.parametrize(("shape", "base_shape"), [((2, 5), (2, 4)), ((1, 4), (1, 4)), ((3, 1), (3, 1))])
def test_scores_that_cannot_be_compared_are_an_error(shape, base_shape):
    """Unequal shapes, one seed and one image are named with the row."""
    base = np.zeros(base_shape)
    with pytest.raises(ValueError, match=rf"same shape.*'other': \({shape[0]}, {shape[1]}\)"):
        compare(
            {"base": base, "other": np.zeros(shape)},
            "base",
            noise_groups={"other": "0"},
            comparisons=1,
        )


def test_verdicts_need_seeds_and_below_five_a_pool():
    """Two seeds never; three and four with a pool of four rows; five always."""
    pooled = np.array([2, 3, 4, 8])
    assert [is_covered(seeds, pooled).tolist() for seeds in (2, 3, 4, 5)] == [
        [False] * 4,
        [False, False, True, True],
        [False, False, True, True],
        [True] * 4,
    ]
