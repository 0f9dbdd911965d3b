"""Whole runs with interim analyses on simulated scores: the error rate, and the intervals computed once more."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reports.results.summary import summaries
from reports.statistics.verdicts import compare_with_base
from reports.tables.provenance import INTERIM


@pytest.fixture(scope="module")
def study():
    """The module tools/interim_study.py, which is no package."""
    path = Path(__file__).parents[2] / "tools" / "interim_study.py"
    spec = importlib.util.spec_from_file_location("interim_study", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["interim_study"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_rows_that_differ_stop_early_and_equal_ones_go_on(study):
    """Large differences are resolved by fewer seeds than small ones; each row ends at an analysis."""
    outcomes = [study.simulate(study.CASES[3], np.random.default_rng(seed)) for seed in range(4)]
    seeds = np.array([outcome.seeds for outcome in outcomes])
    assert set(seeds.flat) <= set(study.ANALYSES)
    large, small = seeds[:, [0, 6]], seeds[:, [2, 3]]
    assert large.mean() < small.mean()


@pytest.mark.slow  # the figures of the whole study: test_the_published_study_keeps_the_error_rate
def test_few_runs_say_something_false(study):
    """Of 200 runs of equal rows at most 5 % and two Monte Carlo errors."""
    found = study.measure(study.CASES[0], 200, np.random.default_rng(5))
    assert found.false_words <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5
    assert found.mean_seeds < 40


def test_the_published_study_keeps_the_error_rate():
    """Of each kind of run: at most 5 % false words and two Monte Carlo errors, with seeds saved."""
    cases = json.loads(INTERIM.read_text())
    assert len(cases) == 4
    for case in cases:
        assert case["tables"] >= 200
        assert case["false_words"] <= 0.05 + 2 * case["false_words_deviation"]
        assert case["mean_seeds"] < 40


@pytest.mark.parametrize(
    ("verdict", "truth", "is_false"),
    [("gain", 0.0, True), ("gain", 0.1, False), ("equivalent", 0.2, True), ("no gain", 0.1, False),
     ("negligible loss", -0.3, True), ("inconclusive", 9.0, False)],
)  # fmt: skip
def test_a_verdict_is_false_where_it_contradicts_the_truth(study, verdict, truth, is_false):
    """With a margin of 0.2."""
    assert study.is_false(verdict, truth) is is_false


@pytest.mark.parametrize(("truth", "row", "seeds"), [((0.9, 0.0), "rows.row_2", 20), ((0.9,), "rows.row_1", 5)])
def test_an_interval_is_that_of_the_raw_scores(study, truth, row, seeds):
    """By other formulas: a row that goes on beside one that stopped, and one that stops at the first analysis."""
    case = study.Case("one or two rows", truth, analyses=(5, 20))
    results, ends = study.run_to_end(case, np.random.default_rng(4))
    assert ends[row].count == seeds
    raw = results.scores.pivot_table(index=["row", "seed"], columns="image", values="value")
    table = (raw.loc[row] - raw.loc["base"]).dropna().to_numpy()
    images, by_seed, by_image = table.shape[1], table.mean(1), table.mean(0)
    seed, image = by_seed.var(ddof=1) / seeds, by_image.var(ddof=1) / images
    rest = table - by_seed[:, None] - by_image + table.mean()
    remainder = (rest**2).sum() / ((seeds - 1) * (images - 1)) / table.size
    variance = max(seed + image - remainder, seed, image)
    degrees = variance**2 / (seed**2 / (seeds - 1) + image**2 / (images - 1))
    level = levels(0.04, len(truth))[seeds == 20]
    estimate = compare_with_base(results, summaries(results), results.metric("psnr"))[row].estimate
    assert estimate is not None
    assert (estimate.seeds, estimate.difference) == (seeds, pytest.approx(table.mean(), abs=1e-9))
    assert estimate.resolution == pytest.approx(stats.t.isf(level / 2, degrees) * variance**0.5, rel=1e-3)


def levels(error_rate, comparisons):
    """Return the levels after 5 and 20 seeds of one of some uncorrelated comparisons; a sixteenth is spent first."""
    of_comparison = 1 - (1 - error_rate) ** (1 / comparisons)
    first = of_comparison / 16
    joint = stats.multivariate_normal(cov=[[1, 0.5], [0.5, 1]])  # correlation of means over 5 and over 20 seeds
    low, high, stop = 1.0, 6.0, stats.norm.isf(first / 2)
    for _ in range(40):
        middle = (low + high) / 2
        is_missed = joint.cdf([stop, middle], lower_limit=[-stop, -middle]) < 1 - of_comparison
        low, high = (middle, high) if is_missed else (low, middle)
    return first, 2 * stats.norm.sf(low)
