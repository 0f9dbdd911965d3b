"""A ranking of rows from the choices of several people on several images, with places that hold together.

Intervals come from a bootstrap over people and images at once: each sample draws as many people and as many images as
there are, with replacement, and a choice counts as often as its person was drawn times as often as its image was (A. B.
Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007). So the result is meant for other people and other
images. It errs on the wide side.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics.preferences import OUTCOMES, Choice, Floats, connected_groups, fit, preferred, row_pairs

FEWEST_PEOPLE = 3
"""Below it nothing can be said about other people, so no row has a proven place."""
_SAMPLES = 2000
_CHUNK = 250
"""Samples whose weights are in memory at a time."""
_ERROR_RATE = 0.05
_MOST_DROPPED = 0.2
"""Where more samples leave rows unconnected, those that are left say too little."""


@dataclass(frozen=True)
class RankedRow:
    """A row in the ranking."""

    row: str
    strength: float
    """θ of the model; all rows have the mean 0."""
    preferred: float
    """How often it is preferred to another row, 0..1; a tie counts half."""
    interval: tuple[float, float] | None
    """95 % interval of `preferred`; None where the samples say too little."""
    places: tuple[int, int] | None
    """First and last place it may have; with 95 % all places hold together. None with too few people."""


@dataclass(frozen=True)
class PreferenceRanking:
    """The rows, the most preferred first."""

    rows: tuple[RankedRow, ...]
    people: int
    images: int
    choices: int
    dropped: float
    """Share of bootstrap samples left out because they did not connect all rows."""


def rank_rows(choices: Sequence[Choice], rows: Sequence[str], seed: int = 0) -> PreferenceRanking:
    """Return the ranking.

    Answers of one person to one pair on one image count as one choice together, however often it was shown.

    Args:
        choices: All answers.
        rows: At least two rows; the choices must connect them all.
        seed: Of the bootstrap.

    Raises:
        ValueError: The choices do not connect all rows.
    """
    if len(connected_groups(choices, rows)) > 1:
        raise ValueError("the choices do not connect all rows")
    table = _Table.of(choices, rows)
    whole = fit(table.counts(np.ones((1, len(choices)))))
    generator = np.random.default_rng(seed)
    strengths, shares, dropped = _bootstrap(table, len(rows), generator)
    is_usable = dropped <= _MOST_DROPPED and (table.people > 1 or table.images > 1)
    places = _places(strengths) if is_usable and table.people >= FEWEST_PEOPLE else None
    intervals = np.quantile(shares, (_ERROR_RATE / 2, 1 - _ERROR_RATE / 2), axis=0) if is_usable else None
    share = preferred(whole)[0]
    order = sorted(range(len(rows)), key=lambda place: (-whole.strengths[0, place], rows[place]))
    return PreferenceRanking(
        rows=tuple(
            RankedRow(
                row=rows[place],
                strength=float(whole.strengths[0, place]),
                preferred=float(share[place]),
                interval=None if intervals is None else (float(intervals[0, place]), float(intervals[1, place])),
                places=places[place] if places else None,
            )
            for place in order
        ),
        people=table.people,
        images=table.images,
        choices=len(choices),
        dropped=dropped,
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """N choices as numbers."""

    person: npt.NDArray[np.intp]
    image: npt.NDArray[np.intp]
    outcomes: Floats
    """N x P · 3: 1 at the outcome, divided by the answers of that person to that pair and image."""
    people: int
    images: int

    @classmethod
    def of(cls, choices: Sequence[Choice], rows: Sequence[str]) -> "_Table":
        place = {row: index for index, row in enumerate(rows)}
        pairs = enumerate(row_pairs(len(rows)))
        pair_of = {(int(first), int(second)): index for index, (first, second) in pairs}
        people, images = (sorted({getattr(choice, name) for choice in choices}) for name in ("person", "image"))
        cells: list[tuple[str, str, int]] = []
        columns: list[int] = []
        for choice in choices:
            first, second = place[choice.first], place[choice.second]
            outcome = OUTCOMES.index(choice.outcome)
            if first > second:
                first, second, outcome = second, first, (1, 0, 2)[outcome]
            pair = pair_of[first, second]
            cells.append((choice.person, choice.image, pair))
            columns.append(3 * pair + outcome)
        repeats = Counter(cells)
        outcomes = np.zeros((len(choices), 3 * len(pair_of)))
        outcomes[np.arange(len(choices)), columns] = [1 / repeats[cell] for cell in cells]
        return cls(
            person=np.array([people.index(choice.person) for choice in choices], dtype=np.intp),
            image=np.array([images.index(choice.image) for choice in choices], dtype=np.intp),
            outcomes=outcomes,
            people=len(people),
            images=len(images),
        )

    def counts(self, weights: Floats) -> Floats:
        """Return the weighted outcomes, B x P x 3, of weights B x N."""
        return (weights @ self.outcomes).reshape(len(weights), -1, len(OUTCOMES))


def _bootstrap(table: _Table, rows: int, generator: np.random.Generator) -> tuple[Floats, Floats, float]:
    """Return strengths and shares of the samples that connect all rows, and the share of those that do not."""
    strengths: list[Floats] = []
    shares: list[Floats] = []
    for _ in range(_SAMPLES // _CHUNK):
        of_people, of_images = (
            generator.multinomial(amount, np.full(amount, 1 / amount), size=_CHUNK)
            for amount in (table.people, table.images)
        )
        counts = table.counts((of_people[:, table.person] * of_images[:, table.image]).astype(np.float64))
        counts = counts[_connects_all(counts.sum(axis=2) > 0, rows)]
        if len(counts):
            fitted = fit(counts)
            strengths.append(fitted.strengths)
            shares.append(preferred(fitted))
    drawn = np.concatenate(strengths) if strengths else np.zeros((0, rows))
    return drawn, np.concatenate(shares) if shares else drawn, 1 - len(drawn) / _SAMPLES


def _connects_all(is_compared: npt.NDArray[np.bool_], rows: int) -> npt.NDArray[np.bool_]:
    """Return for each sample whether its compared pairs (B x P) connect all rows."""
    first, second = row_pairs(rows).T
    links = np.tile(np.eye(rows, dtype=bool), (len(is_compared), 1, 1))
    links[:, first, second] = links[:, second, first] = is_compared
    for _ in range(rows):
        links = (links.astype(np.float32) @ links.astype(np.float32)) > 0
    return np.logical_and.reduce(links.reshape(len(links), -1), axis=1)


def _places(strengths: Floats) -> list[tuple[int, int]]:
    """Return the places that each row may have: it is surely behind the rows whose interval above it excludes 0."""
    pairs = row_pairs(strengths.shape[1])
    tail = _ERROR_RATE / len(pairs) / 2
    rows = strengths.shape[1]
    ahead, behind = [0] * rows, [0] * rows
    for first, second in pairs:
        low, high = np.quantile(strengths[:, first] - strengths[:, second], (tail, 1 - tail))
        if low > 0 or high < 0:
            better, worse = (first, second) if low > 0 else (second, first)
            ahead[worse] += 1
            behind[better] += 1
    return [(1 + ahead[row], rows - behind[row]) for row in range(rows)]
