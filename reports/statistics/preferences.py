"""Strengths of rows from choices between two pictures: the model of Bradley and Terry, with ties as Davidson has them.

Row i has the strength exp(θ_i), and ties the weight ν. Of a pair, i is chosen in proportion to exp(θ_i), j to exp(θ_j),
and neither to ν · exp((θ_i + θ_j) / 2) (R. R. Davidson, On extending the Bradley-Terry model to accommodate ties in
paired comparison experiments, JASA 65, 1970). The likelihood is concave, so Newton's method finds its maximum.

A row that wins every time has no finite maximum. A normal prior, so wide that it changes nothing else, keeps it finite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Outcome = Literal["first", "second", "tie"]

OUTCOMES: tuple[Outcome, ...] = ("first", "second", "tie")
_PRIOR_PRECISION = 1e-3
"""Of each θ and of log ν, around 0: a standard deviation of 32."""
_LARGEST_STEP = 1.0
_MOST_STEPS = 200
_CONVERGED = 1e-9


@dataclass(frozen=True)
class Choice:
    """What one person chose between two rows on one image."""

    person: str
    image: str
    first: str
    second: str
    outcome: Outcome

    @property
    def in_order(self) -> "Choice":
        """The same choice with the names of its rows in alphabetical order."""
        if self.first <= self.second:
            return self
        swapped: dict[Outcome, Outcome] = {"first": "second", "second": "first", "tie": "tie"}
        return Choice(self.person, self.image, self.second, self.first, swapped[self.outcome])


@dataclass(frozen=True, eq=False)
class Fit:
    """Strengths of R rows, for each of B samples of the choices."""

    strengths: Floats
    """θ, B x R; each line has the mean 0."""
    log_ties: Floats
    """log ν, B."""


def row_pairs(rows: int) -> npt.NDArray[np.intp]:
    """Return the places of the two rows of each pair, P x 2, where P is rows · (rows − 1) / 2."""
    return np.array(list(combinations(range(rows), 2)), dtype=np.intp).reshape(-1, 2)


def fit(counts: Floats) -> Fit:
    """Return the strengths that make the choices most likely.

    Args:
        counts: B x P x 3: how often the first row, the second row, and neither was chosen, for each pair of
            `row_pairs`. Numbers may be fractions.
    """
    rows = round((1 + (1 + 8 * counts.shape[1]) ** 0.5) / 2)
    features = _features(rows)
    weights = np.zeros((counts.shape[0], rows + 1))
    totals = counts.sum(axis=2)
    prior = _PRIOR_PRECISION * np.eye(rows + 1)
    for _ in range(_MOST_STEPS):
        shares = _shares(weights, features)
        expected = totals[:, :, None] * shares
        gradient = np.einsum("bpo,pof->bf", counts - expected, features) - _PRIOR_PRECISION * weights
        means = np.einsum("bpo,pof->bpf", shares, features)
        curvature = (
            np.einsum("bpo,pof,pog->bfg", expected, features, features, optimize=True)
            - np.einsum("bp,bpf,bpg->bfg", totals, means, means, optimize=True)
            + prior
        )
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        step *= np.minimum(1.0, _LARGEST_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        weights += step
        if np.abs(step).max() < _CONVERGED:
            break
    strengths = weights[:, :rows]
    return Fit(strengths - strengths.mean(axis=1, keepdims=True), weights[:, rows])


def preferred(fitted: Fit) -> Floats:
    """Return how often each row is preferred to another row, B x R in 0..1: mean over the others, a tie counts half."""
    rows = fitted.strengths.shape[1]
    weights = np.concatenate([fitted.strengths, fitted.log_ties[:, None]], axis=1)
    shares = _shares(weights, _features(rows))
    totals = np.zeros_like(fitted.strengths)
    for place, (first, second) in enumerate(row_pairs(rows)):
        totals[:, first] += shares[:, place, 0] + shares[:, place, 2] / 2
        totals[:, second] += shares[:, place, 1] + shares[:, place, 2] / 2
    return totals / max(rows - 1, 1)


def tie_share(fitted: Fit) -> Floats:
    """Return how often rows of equal strength are a tie, B, in 0..1."""
    return np.exp(fitted.log_ties) / (2 + np.exp(fitted.log_ties))


def connected_groups(choices: Sequence[Choice], rows: Sequence[str]) -> list[list[str]]:
    """Return the rows in groups that no choice connects; strengths can be compared only where there is one group."""
    group = {row: {row} for row in rows}
    for choice in choices:
        first, second = group[choice.first], group[choice.second]
        if first is not second:
            first |= second
            group |= dict.fromkeys(second, first)
    return [members for row in rows if (members := [name for name in rows if name in group[row]])[0] == row]


def _features(rows: int) -> Floats:
    """Return the features of each outcome of each pair, P x 3 x (R + 1); the last feature is that of ties."""
    pairs = row_pairs(rows)
    features = np.zeros((len(pairs), len(OUTCOMES), rows + 1))
    places = np.arange(len(pairs))
    for side in (0, 1):
        features[places, side, pairs[:, side]] = 1.0
        features[places, 2, pairs[:, side]] = 0.5
    features[:, 2, rows] = 1.0
    return features


def _shares(weights: Floats, features: Floats) -> Floats:
    """Return the probability of each outcome of each pair, B x P x 3."""
    utility = np.einsum("bf,pof->bpo", weights, features)
    odds = np.exp(utility - utility.max(axis=2, keepdims=True))
    return odds / odds.sum(axis=2, keepdims=True)
