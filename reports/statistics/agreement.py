"""Do people agree with each other, and each person with their own earlier answers?"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from reports.statistics.preferences import Choice, Outcome

Unit = tuple[str, str, str]
"""Image and the two rows of a pair."""


@dataclass(frozen=True)
class Agreement:
    """Agreement over the pairs that were answered more than once."""

    shared: int
    """Pairs on an image that several people answered."""
    equal: float | None
    """Share of two people's answers to the same pair that are equal; None where no pair is shared."""
    alpha: float | None
    """Krippendorff's α: 1 is agreement, 0 is what chance would give; None where no pair is shared."""
    repeated: int
    """Answers to a pair that the same person had answered before."""
    consistent: float | None
    """Share of these that repeat the first answer; None where nothing was repeated."""


def agreement(choices: Sequence[Choice]) -> Agreement:
    """Return how well answers to the same pair on the same image agree.

    Of a person who answered a pair several times, the first answer is compared with those of others.
    """
    ordered = [choice.in_order for choice in choices]
    answers: dict[Unit, dict[str, list[Outcome]]] = {}
    for choice in ordered:
        by_person = answers.setdefault((choice.image, choice.first, choice.second), {})
        by_person.setdefault(choice.person, []).append(choice.outcome)
    first_answers = {unit: [given[0] for given in people.values()] for unit, people in answers.items()}
    shared = {unit: given for unit, given in first_answers.items() if len(given) > 1}
    equal = [left == right for given in shared.values() for left, right in combinations(given, 2)]
    repeats = [(given[0], later) for people in answers.values() for given in people.values() for later in given[1:]]
    return Agreement(
        shared=len(shared),
        equal=_share(equal),
        alpha=nominal_alpha(shared),
        repeated=len(repeats),
        consistent=_share(first == later for first, later in repeats),
    )


def nominal_alpha(values: Mapping[Unit, Sequence[Hashable]] | Mapping[int, Sequence[Hashable]]) -> float | None:
    """Return Krippendorff's α for categories without order; None where nothing is shared or all values are equal.

    Source: K. Krippendorff, Computing Krippendorff's alpha-reliability, 2011.

    Args:
        values: Unit -> the values that people gave it; those with fewer than two are left out.
    """
    units = [Counter(given) for given in values.values() if len(given) > 1]
    totals: Counter[Hashable] = sum(units, Counter[Hashable]())
    amount = totals.total()
    expected = amount**2 - sum(count**2 for count in totals.values())
    if expected == 0:
        return None
    observed = sum(
        (unit.total() ** 2 - sum(count**2 for count in unit.values())) / (unit.total() - 1) for unit in units
    )
    return 1 - (amount - 1) * observed / expected


def _share(outcomes: Iterable[bool]) -> float | None:
    listed = [*outcomes]
    return sum(listed) / len(listed) if listed else None
