"""Claims: statements about rows in a form that records can confirm or refute.

A claim asks nothing to be trained and changes no result, so it is part of no key.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document, Path_
from benchmark.experiment.settings import Metric, Report, Settings


class Claim(Settings):
    """What every claim says, whatever its form."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    text: str = Field(min_length=1, description="the claim in words, as it was made")
    reading: str = Field(default="", description="how the words are read where they leave it open")
    expected: Literal["holds", "refuted", "not resolved"] | None = Field(
        default=None, description="what records gave before; `claims --check` fails where they give something else"
    )


class BetterClaim(Claim):
    """One row is better than another, or than each of several, by at least or at most so much."""

    better: str = Field(description="a row: base, identity, TABLE.ROW, ...")
    worse: str | Annotated[list[str], Field(min_length=1)] = Field(description="the row or rows it is compared with")
    metric: Metric | None = Field(default=None, description="null: report.primary")
    by: float | None = Field(
        default=None,
        description="better by more than this, in the metric's unit; null: 0, or no limit beside at_most",
    )
    at_most: float | None = Field(default=None, description="better by no more than this; null: by anything")

    @property
    def rivals(self) -> tuple[str, ...]:
        return (self.worse,) if isinstance(self.worse, str) else tuple(self.worse)

    @property
    def least(self) -> float | None:
        """The gain that must be exceeded; None where only `at_most` limits it."""
        return 0.0 if self.by is None and self.at_most is None else self.by

    @field_validator("at_most")
    @classmethod
    def _check_above(cls, at_most: float | None, info: ValidationInfo) -> float | None:
        by = info.data.get("by")
        if by is not None and at_most is not None and by >= at_most:
            raise ValueError("must be above by")
        return at_most


class EquivalentClaim(Claim):
    """Two rows differ by no more than a margin."""

    equivalent: Annotated[list[str], Field(min_length=2, max_length=2, description="two rows")]
    metric: Metric | None = Field(default=None, description="null: report.primary")
    margin: float | None = Field(default=None, gt=0, description="in the metric's unit; null: report.margin")


class Within(Settings):
    row: str
    gate: str = Field(description="one of the row's gates")


class WithinClaim(Claim):
    """A row keeps the limit of a gate."""

    within: Within


class Front(Settings):
    row: str
    among: str = Field(description="a table: its rows are the rivals")
    cost: str = Field(description="macs, or the name of a latency gate")


class FrontClaim(Claim):
    """No rival of a table is at once as cheap as a row and surely better."""

    front: Front
    metric: Metric | None = Field(default=None, description="null: report.primary")


_FORMS = {"better": BetterClaim, "equivalent": EquivalentClaim, "within": WithinClaim, "front": FrontClaim}


def _form(claim: Any) -> str | None:
    """The form of a claim by the key that it has; None where it has none of them."""
    given = claim if isinstance(claim, dict) else vars(claim) if isinstance(claim, Claim) else {}
    return next((kind.__name__ for key, kind in _FORMS.items() if key in given), None)


# A tag must not be a key of a claim, or an error's place could not be told from it.
AnyClaim = Annotated[
    Annotated[BetterClaim, Tag("BetterClaim")]
    | Annotated[EquivalentClaim, Tag("EquivalentClaim")]
    | Annotated[WithinClaim, Tag("WithinClaim")]
    | Annotated[FrontClaim, Tag("FrontClaim")],
    Discriminator(
        _form,
        custom_error_type="claim_without_form",
        custom_error_message=f"a claim needs one of {', '.join(_FORMS)}",
    ),
]


@dataclass(frozen=True)
class Stated:
    """A claim with nothing left open: metrics, margins and rivals are filled in. `data` is what plan.json holds."""

    id: str
    data: Mapping[str, Any]


def read_claims(
    document: Document,
    claims: Sequence[AnyClaim],
    rows: Mapping[str, Mapping[str, Any]],
    report: Report,
) -> tuple[Stated, ...]:
    """The claims of an experiment, checked against it. `rows`: resolved configuration by row, floor rows included.

    Raises ExperimentError where a claim names a row, table or gate that the experiment lacks.
    """
    reader = _Reader(document, rows, report)
    for index, claim in enumerate(claims):
        if claim.id in [earlier.id for earlier in claims[:index]]:
            reader.fail((index, "id"), f"two claims have the id {claim.id!r}")
    return tuple(reader.stated(index, claim) for index, claim in enumerate(claims))


@dataclass(frozen=True)
class _Reader:
    document: Document
    rows: Mapping[str, Mapping[str, Any]]
    report: Report

    def stated(self, index: int, claim: AnyClaim) -> Stated:
        said = {"id": claim.id, "text": claim.text, "reading": claim.reading, "expected": claim.expected}
        return Stated(claim.id, {**said, **self._form(index, claim)})

    def _form(self, index: int, claim: AnyClaim) -> dict[str, Any]:
        match claim:
            case BetterClaim():
                return self._better(index, claim)
            case EquivalentClaim():
                return self._equivalent(index, claim)
            case WithinClaim():
                return self._within(index, claim.within)
            case FrontClaim():
                return self._front(index, claim)

    def _better(self, index: int, claim: BetterClaim) -> dict[str, Any]:
        self._check_row((index, "better"), claim.better)
        for row in claim.rivals:
            self._check_row((index, "worse"), row)
        if claim.better in claim.rivals:
            self.fail((index, "worse"), f"{claim.better} is compared with itself")
        return {
            "form": "better",
            "better": claim.better,
            "worse": list(claim.rivals),
            "metric": claim.metric or self.report.primary,
            "by": claim.least,
            "at_most": claim.at_most,
        }

    def _equivalent(self, index: int, claim: EquivalentClaim) -> dict[str, Any]:
        for row in claim.equivalent:
            self._check_row((index, "equivalent"), row)
        if len(set(claim.equivalent)) == 1:
            self.fail((index, "equivalent"), f"{claim.equivalent[0]} is compared with itself")
        metric = claim.metric or self.report.primary
        if claim.margin is None and (metric != self.report.primary or not self.report.margin):
            self.fail((index,), f"give a margin: report.margin is of {self.report.primary}, at {self.report.margin:g}")
        margin = self.report.margin if claim.margin is None else claim.margin
        return {"form": "equivalent", "rows": list(claim.equivalent), "metric": metric, "margin": margin}

    def _within(self, index: int, within: Within) -> dict[str, Any]:
        self._check_row((index, "within", "row"), within.row)
        gates = self.rows[within.row].get("gates", {})
        self._check_known((index, "within", "gate"), "gate", within.gate, gates)
        return {"form": "within", "row": within.row, "gate": within.gate}

    def _front(self, index: int, claim: FrontClaim) -> dict[str, Any]:
        front, at = claim.front, (index, "front")
        self._check_row((*at, "row"), front.row)
        tables: dict[str, list[str]] = {}
        for row in self.rows:
            table, dot, _ = row.partition(".")
            if dot:
                tables.setdefault(table, []).append(row)
        self._check_known((*at, "among"), "table", front.among, tables)
        gates = self.rows[front.row].get("gates", {})
        costs = ["macs", *(name for name, gate in gates.items() if gate["quantity"] == "latency")]
        self._check_known((*at, "cost"), "cost", front.cost, costs)
        rivals = [row for row in tables[front.among] if row != front.row]
        metric = claim.metric or self.report.primary
        return {"form": "front", "row": front.row, "rivals": rivals, "cost": front.cost, "metric": metric}

    def _check_row(self, at: Path_, row: str) -> None:
        self._check_known(at, "row", row, self.rows)

    def _check_known(self, at: Path_, kind: str, name: str, known: Collection[str]) -> None:
        if name not in known:
            self.fail(at, f"no {kind} {name!r} in this experiment; {suggestion(name, known)}")

    def fail(self, at: Path_, message: str) -> None:
        path: Path_ = ("claims", *at)
        raise ExperimentError(f"{self.document.place(path)}: {'.'.join(map(str, path))}: {message}")
