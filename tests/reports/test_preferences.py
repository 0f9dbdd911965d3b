"""Strengths from choices: closed forms, simulated raters (no people), refusals, agreement."""

from itertools import combinations

import numpy as np
import pytest

from reports.statistics.agreement import agreement, nominal_alpha
from reports.statistics.preference_ranking import rank_rows
from reports.statistics.preferences import Choice, connected_groups, fit, preferred, tie_share

ROWS = ("a", "b", "c", "d")
STRENGTHS = np.array([1.5, 0.5, -0.5, -1.5])


def simulated_choices(seed, people=12, images=12, ties=0.6, taste=0.0, strengths=STRENGTHS):
    """Answers of simulated raters, who follow the model; `taste` is how far each rater's strengths scatter."""
    rng = np.random.default_rng(seed)
    choices = []
    for person in range(people):
        own = strengths + rng.normal(0, taste, len(strengths))
        for image in range(images):
            for first, second in combinations(range(len(strengths)), 2):
                odds = np.exp([own[first], own[second], np.log(ties) + (own[first] + own[second]) / 2])
                outcome = ("first", "second", "tie")[rng.choice(3, p=odds / odds.sum())]
                choices.append(Choice(f"p{person}", f"i{image}", ROWS[first], ROWS[second], outcome))
    return choices


def test_two_rows_have_the_closed_form():
    """Of two rows the difference of strengths is log(wins / losses), and the model repeats the share of ties."""
    fitted = fit(np.array([[[30.0, 10.0, 20.0]]]))
    assert fitted.strengths[0, 0] - fitted.strengths[0, 1] == pytest.approx(np.log(3), abs=1e-3)
    assert np.exp(fitted.log_ties[0]) == pytest.approx(20 / np.sqrt(30 * 10), rel=1e-3)
    assert preferred(fitted)[0] == pytest.approx([40 / 60, 20 / 60], abs=1e-4)


def test_equal_rows_have_equal_strengths():
    """Where every pair has as many wins as losses, all are 0, and the share of ties is that of the answers."""
    fitted = fit(np.tile([7.0, 7.0, 4.0], (1, 6, 1)))
    assert fitted.strengths == pytest.approx(np.zeros((1, 4)), abs=1e-8)
    assert tie_share(fitted)[0] == pytest.approx(4 / 18, abs=1e-4)


def test_expected_counts_give_the_strengths_back():
    """Counts in the model's own proportions are fitted exactly: three rows, known θ and ν."""
    theta, log_ties = np.array([0.8, 0.1, -0.9]), np.log(0.7)
    odds = [
        np.exp([theta[first], theta[second], log_ties + (theta[first] + theta[second]) / 2])
        for first, second in combinations(range(3), 2)
    ]
    counts = np.array([[1000 * of_pair / of_pair.sum() for of_pair in odds]])
    fitted = fit(counts)
    assert fitted.strengths[0] == pytest.approx(theta, abs=1e-4)
    assert fitted.log_ties[0] == pytest.approx(log_ties, abs=1e-4)


def test_a_row_that_always_wins_stays_finite():
    """Its share is one, and the order is kept."""
    fitted = fit(np.array([[[50.0, 0.0, 0.0], [50.0, 0.0, 0.0], [30.0, 20.0, 0.0]]]))
    assert np.isfinite(fitted.strengths).all()
    assert preferred(fitted)[0, 0] > 0.999
    assert list(np.argsort(-fitted.strengths[0])) == [0, 1, 2]


def test_simulated_raters_are_ranked_as_they_were_made():
    """With 12 simulated raters and 12 images, the order is that of the strengths, and so are the places."""
    ranking = rank_rows(simulated_choices(0), ROWS)
    assert [row.row for row in ranking.rows] == ["a", "b", "c", "d"]
    assert [row.places for row in ranking.rows] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [row.strength for row in ranking.rows] == pytest.approx(STRENGTHS, abs=0.35)  # three standard errors


def test_equal_rows_keep_all_places():
    """Simulated raters without any preference: each row may have each place."""
    ranking = rank_rows(simulated_choices(1, people=5, images=4, strengths=np.zeros(4)), ROWS)
    assert [row.places for row in ranking.rows] == [(1, 4)] * 4


@pytest.mark.slow
def test_false_places_are_rare():
    """Simulated raters with tastes of their own and no common one: of 20 such tests at most 3 claim a place."""
    equal = np.zeros(4)
    claims = 0
    for seed in range(20):
        ranking = rank_rows(simulated_choices(seed, people=6, images=4, taste=0.7, strengths=equal), ROWS)
        claims += any(row.places != (1, 4) for row in ranking.rows)
    assert claims <= 3  # binomial(20, 0.05) is above 3 with a probability of 1.6 %


def test_two_people_prove_no_place():
    """Nothing is said about others than these two."""
    ranking = rank_rows(simulated_choices(0, people=2), ROWS)
    assert all(row.places is None and row.interval is not None for row in ranking.rows)


def test_a_repeated_answer_counts_once():
    """Whoever answers a pair three times in the same way has no more weight than with one answer."""
    choices = simulated_choices(3, people=4)
    again = [choice for choice in choices for _ in range(3 if choice.person == "p0" else 1)]
    strengths = [[row.strength for row in rank_rows(listed, ROWS).rows] for listed in (choices, again)]
    assert strengths[0] == pytest.approx(strengths[1], abs=1e-9)


def test_sides_do_not_matter():
    """The same answers with first and second exchanged give the same ranking."""
    exchange = {"first": "second", "second": "first", "tie": "tie"}
    choices = simulated_choices(4, people=3)
    swapped = [Choice(c.person, c.image, c.second, c.first, exchange[c.outcome]) for c in choices]
    assert rank_rows(choices, ROWS) == rank_rows(swapped, ROWS)


def test_rows_that_no_choice_connects_have_no_ranking():
    """a with b and c with d: two groups, named in the order of the rows; ranking them is refused."""
    choices = [Choice("p", "i", "b", "a", "first"), Choice("p", "i", "c", "d", "tie")]
    assert connected_groups(choices, ROWS) == [["a", "b"], ["c", "d"]]
    assert connected_groups([*choices, Choice("p", "i", "d", "a", "tie")], ROWS) == [list(ROWS)]
    with pytest.raises(ValueError, match="do not connect"):
        rank_rows(choices, ROWS)


def test_alpha_is_that_of_the_literature():
    """Four observers, twelve units: 0.743 for categories (Krippendorff, Computing Krippendorff's alpha-reliability)."""
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = {place: [line[place] for line in observers if line[place] != "."] for place in range(12)}
    assert nominal_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_agreement_counts_people_and_repeats_apart():
    """Two people agree on one pair of two, whatever side came first; one repeats one answer of two."""
    choices = [
        Choice("p", "i", "a", "b", "first"),
        Choice("q", "i", "b", "a", "second"),
        Choice("p", "j", "a", "b", "first"),
        Choice("q", "j", "a", "b", "tie"),
        Choice("p", "i", "b", "a", "second"),
        Choice("p", "j", "b", "a", "first"),
    ]
    result = agreement(choices)
    assert (result.shared, result.equal) == (2, 0.5)
    assert (result.repeated, result.consistent) == (2, 0.5)


def test_without_shared_pairs_nothing_is_said_about_agreement():
    """One person alone."""
    result = agreement([Choice("p", "i", "a", "b", "first")])
    assert (result.equal, result.alpha, result.consistent) == (None, None, None)
