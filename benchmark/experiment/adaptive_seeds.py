"""`seeds` with interim analyses: all rows get the first seeds, and those that are not resolved by them get more."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveFloat, Tag, ValidationInfo, field_validator

from benchmark.experiment.stage import Seed, Settings

Number = Annotated[int, Field(ge=2, le=10_000)]


class AdaptiveSeeds(Settings):
    """Seeds 0, 1, 2, ... with interim analyses that are fixed beforehand, so that the error rate is kept over all."""

    first: Number = Field(description="seeds of every row")
    most: Number = Field(description="seeds that a row has at most")
    interim: list[Number] | None = Field(
        default=None, description="seeds at each analysis, from first to most; null: doubled each time"
    )
    stop: Literal["resolved"] = Field(
        default="resolved", description="after an analysis rows stop whose verdict and claims are resolved"
    )
    exponent: PositiveFloat = Field(
        default=2.0,
        le=10,
        description="the share of the seeds to this power is the share of the error rate that is spent: 1 spends "
        "evenly, more keeps it for the later analyses",
    )

    @field_validator("most")
    @classmethod
    def _check_most(cls, most: int, info: ValidationInfo) -> int:
        if most < info.data.get("first", 2):
            raise ValueError(f"must not be below first, {info.data['first']}")
        return most

    @field_validator("interim")
    @classmethod
    def _check_interim(cls, interim: list[int] | None, info: ValidationInfo) -> list[int] | None:
        ends = [info.data.get("first"), info.data.get("most")]
        if interim is None or None in ends:
            return interim
        if any(later <= earlier for earlier, later in pairwise(interim)) or [*interim[:1], *interim[-1:]] != ends:
            raise ValueError(f"must rise from first, {ends[0]}, to most, {ends[1]}")
        return interim

    @property
    def analyses(self) -> tuple[int, ...]:
        """Seeds at each analysis, rising to `most`."""
        if self.interim is not None:
            return tuple(self.interim)
        counts = [self.first]
        while counts[-1] < self.most:
            counts.append(min(2 * counts[-1], self.most))
        return tuple(counts)


def _form(seeds: Any) -> str:
    return "AdaptiveSeeds" if isinstance(seeds, dict | AdaptiveSeeds) else "list"


AnySeeds = Annotated[
    Annotated[list[Seed], Tag("list")] | Annotated[AdaptiveSeeds, Tag("AdaptiveSeeds")],
    Discriminator(_form),
]
"""A list of seeds that all rows have, or seeds with interim analyses."""


def all_seeds(seeds: "list[int] | AdaptiveSeeds") -> tuple[int, ...]:
    """Return the seeds that a row has at most."""
    return tuple(range(seeds.most)) if isinstance(seeds, AdaptiveSeeds) else tuple(seeds)
