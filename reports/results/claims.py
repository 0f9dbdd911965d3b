"""Claims as plan.json holds them: what an experiment says of its rows before anyone looks at the records."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Better:
    """`row` is better than each of `rivals` by more than `by` and by at most `at_most`; None leaves an end open."""

    row: str
    rivals: tuple[str, ...]
    metric: str
    by: float | None
    at_most: float | None


@dataclass(frozen=True)
class Equivalent:
    """Two rows differ by no more than `margin`."""

    row: str
    other: str
    metric: str
    margin: float


@dataclass(frozen=True)
class Within:
    """A row keeps the limit of one of its gates."""

    row: str
    gate: str


@dataclass(frozen=True)
class Front:
    """None of `rivals` is at once as cheap as `row` and surely better; `cost` is macs or a latency gate."""

    row: str
    rivals: tuple[str, ...]
    cost: str
    metric: str


Form = Better | Equivalent | Within | Front


@dataclass(frozen=True)
class Claim:
    """A statement and its machine-checkable form."""

    id: str
    text: str
    reading: str
    """How the text is read where it leaves that open; empty where it does not."""
    expected: str | None
    """What records gave before: holds, refuted or not resolved; None where nobody said."""
    form: Form


def claims_from(data: Iterable[Json], rows: Container[str]) -> tuple[Claim, ...]:
    """The claims in a parsed plan.json whose rows are these.

    Raises: KeyError, TypeError or ValueError on data of another form, or about rows that the plan lacks.
    """
    claims = tuple(_claim(one) for one in data)
    for claim in claims:
        unknown = [row for row in _rows(claim.form) if row not in rows]
        if unknown:
            raise ValueError(f"claim {claim.id!r} is about row {unknown[0]!r}, which the plan lacks")
    return claims


def _rows(form: Form) -> tuple[str, ...]:
    match form:
        case Equivalent():
            return (form.row, form.other)
        case Within():
            return (form.row,)
        case Better() | Front():
            return (form.row, *form.rivals)


def _claim(data: Json) -> Claim:
    return Claim(
        id=str(data["id"]),
        text=str(data["text"]),
        reading=str(data.get("reading") or ""),
        expected=None if data.get("expected") is None else str(data["expected"]),
        form=_form(data),
    )


def _form(data: Json) -> Form:
    match data["form"]:
        case "better":
            by, at_most = (_limit(data, end) for end in ("by", "at_most"))
            return Better(str(data["better"]), _names(data["worse"]), str(data["metric"]), by, at_most)
        case "equivalent":
            row, other = _names(data["rows"])
            return Equivalent(row, other, str(data["metric"]), float(data["margin"]))
        case "within":
            return Within(str(data["row"]), str(data["gate"]))
        case "front":
            return Front(str(data["row"]), _names(data["rivals"]), str(data["cost"]), str(data["metric"]))
        case form:
            raise ValueError(f"claim {data['id']!r} has the form {form!r}, which this version does not know")


def _limit(data: Json, end: str) -> float | None:
    return None if data.get(end) is None else float(data[end])


def _names(rows: list[Any]) -> tuple[str, ...]:
    return tuple(str(row) for row in rows)
