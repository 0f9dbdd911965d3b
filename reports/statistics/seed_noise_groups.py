"""Where the training of a row leaves that of the base, read from the keys of the planned stages.

Rows that leave the base at the same stage, and share nothing with each other from there on, have seed noise of the same
kind, and only they are pooled.
"""

from collections.abc import Sequence

from reports.schema import PlanRow


def branches(rows: Sequence[PlanRow], base: PlanRow) -> dict[str, str]:
    """Row -> name of the place where it leaves `base`: the number of the stage, such as "0" for the first.

    A row that nothing may be pooled with has a name of its own: one that ends where it leaves the base or goes on from
    the base's end (one side of the difference has no noise then), one that shares training with an earlier row of its
    branch, floor rows, and rows whose plan tells no keys.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for row in rows:
        place = _place(row, base)
        own = set() if place is None else set(row.stages[place].keys.values())
        found[row.row] = f"row {row.row}" if place is None or own & seen else str(place)
        seen |= own
    return found


def _place(row: PlanRow, base: PlanRow) -> int | None:
    """Index of the first stage that differs, over all seeds; None where there is no such one place."""
    seeds = [str(seed) for seed in row.seeds if seed in base.seeds]
    places = {_first_other(_keys(row, seed), _keys(base, seed)) for seed in seeds}
    place = places.pop() if len(places) == 1 else None
    return place if place is not None and place < min(len(row.stages), len(base.stages)) else None


def _keys(row: PlanRow, seed: str) -> list[str | None]:
    return [stage.keys.get(seed) for stage in row.stages]


def _first_other(row: Sequence[str | None], base: Sequence[str | None]) -> int | None:
    """None where keys are missing: nothing is known then."""
    if not row or not base or None in row or None in base:
        return None
    equal = [one == other for one, other in zip(row, base, strict=False)]
    return equal.index(False) if False in equal else len(equal)
