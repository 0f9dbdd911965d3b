"""Critical values and error spending, against integrals of another kind and against simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from reports.statistics.critical_values import critical_values
from reports.statistics.error_spending import analysis_levels, error_spent, interim_critical_values


def value(comparisons, correlation, degrees, error_rate=0.05):
    return float(critical_values(comparisons, np.asarray(correlation), np.asarray(float(degrees)), error_rate))


def test_one_comparison_is_students_t():
    """Alone, whatever the correlation."""
    assert value(1, 0.5, 7) == pytest.approx(stats.t.isf(0.025, 7))


@pytest.mark.parametrize("degrees", [2, 5, 40])
def test_without_correlation_the_limit_is_sidaks(degrees):
    """Independent intervals hold together with the product of their probabilities; degrees are rounded to 2 %."""
    limit = value(6, 0.0, degrees)
    ends = [(1 - 2 * stats.t.sf(limit, factor * degrees)) ** 6 for factor in (0.98, 1.02)]
    assert ends[0] <= 0.95 <= ends[1]


@pytest.mark.parametrize(("comparisons", "correlation"), [(2, 0.5), (7, 0.5), (14, 0.3), (7, 0.9)])
def test_with_many_degrees_of_freedom_the_limit_is_dunnetts(comparisons, correlation):
    """The probability that all differences stay inside is the integral over the noise that they share."""
    limit, own = value(comparisons, correlation, 1e6), (1 - correlation) ** 0.5

    def inside(shared):
        ends = (-limit - correlation**0.5 * shared) / own, (limit - correlation**0.5 * shared) / own
        return stats.norm.pdf(shared) * (stats.norm.cdf(ends[1]) - stats.norm.cdf(ends[0])) ** comparisons

    assert integrate.quad(inside, -9, 9, limit=200)[0] == pytest.approx(0.95, abs=2e-4)


@pytest.mark.parametrize(("correlation", "degrees"), [(0.5, 4), (0.5, 12), (0.85, 4)])
def test_with_few_degrees_of_freedom_the_simulated_error_is_the_nominal_one(correlation, degrees):
    """400,000 tables of seven differences with a standard error each: 5 % have one outside."""
    rng = np.random.default_rng(0)
    tables = 400_000
    noise = correlation**0.5 * rng.normal(size=(tables, 1)) + (1 - correlation) ** 0.5 * rng.normal(size=(tables, 7))
    errors = np.sqrt(rng.chisquare(degrees, (tables, 7)) / degrees)
    outside = (np.abs(noise / errors).max(-1) > value(7, correlation, degrees)).mean()
    assert outside == pytest.approx(0.05, abs=0.0015)


def test_more_correlation_needs_less_and_more_comparisons_need_more():
    """The limits lie between that of one interval and Sidak's."""
    by_correlation = [value(7, rho, 10) for rho in (0.0, 0.3, 0.6, 0.9)]
    assert by_correlation == sorted(by_correlation, reverse=True) and by_correlation[-1] > value(1, 0, 10)
    assert value(7, 0.5, 10) < value(14, 0.5, 10)


def test_arrays_have_the_limit_of_each_element():
    """Rows with degrees of freedom of their own, tables with a correlation of their own."""
    degrees = np.array([[3.0, 8.0], [3.0, 30.0]])
    limits = critical_values(5, np.array([[0.2], [0.6]]), degrees, 0.05)
    expected = [[value(5, rho, df) for df in row] for rho, row in zip((0.2, 0.6), degrees, strict=True)]
    assert limits == pytest.approx(np.array(expected))


def test_the_error_is_spent_in_parts_that_add_up():
    """More of it later, and nothing is left."""
    parts = error_spent((5, 10, 20, 40), 0.05)
    assert sum(parts) == pytest.approx(0.05) and list(parts) == sorted(parts)
    assert error_spent((20, 40), 0.05, exponent=1) == pytest.approx((0.025, 0.025))


def test_two_analyses_spend_what_they_should():
    """By the probability of a rectangle under a bivariate normal distribution of the two analyses."""
    first, second = (stats.norm.isf(level / 2) for level in analysis_levels((20, 40), 0.05))
    correlation = (20 / 40) ** 0.5
    both = stats.multivariate_normal(cov=[[1, correlation], [correlation, 1]])
    inside = both.cdf([first, second], lower_limit=[-first, -second])
    assert 1 - inside == pytest.approx(0.05, abs=1e-5)
    assert 2 * stats.norm.sf(first) == pytest.approx(0.0125)


def test_one_analysis_takes_the_whole_error():
    """A study without interim analyses is judged as before."""
    assert analysis_levels((5,), 0.05) == pytest.approx((0.05,))
    degrees = np.array([4.0, 20.0])
    alone = interim_critical_values((5,), 0, 1, 0.0, degrees, 0.05)
    assert alone == pytest.approx(stats.t.isf(0.025, degrees), rel=1e-5)


@pytest.mark.parametrize("analyses", [(5, 10, 20, 40), (20, 40)])
def test_comparisons_over_all_analyses_have_few_false_verdicts(analyses):
    """20,000 tables of six differences to one base, known noise: at most 5 % have a false verdict at any analysis."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(20_000, 7, analyses[-1]))
    differences = noise[:, 1:] - noise[:, :1]
    false = np.zeros(len(noise), dtype=bool)
    for index, seeds in enumerate(analyses):
        limit = interim_critical_values(analyses, index, 6, 0.5, np.asarray(1e6), 0.05)
        z = differences[..., :seeds].mean(-1) / (2 / seeds) ** 0.5
        false |= (np.abs(z) > limit).any(-1)
    assert 0.042 < false.mean() < 0.0535  # standard error 0.0015


@pytest.mark.parametrize("seeds", [(), (1, 5), (5, 5), (10, 5)])
def test_analyses_that_do_not_rise_are_an_error(seeds):
    """The message names the seeds."""
    with pytest.raises(ValueError, match="rising numbers of seeds"):
        error_spent(seeds, 0.05)
