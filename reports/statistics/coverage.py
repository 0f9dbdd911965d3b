"""Do the intervals hold what they promise? Measured on simulated tables whose truth is known.

`python -m reports.coverage` measures and publishes; the report's appendix shows what is published.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports import text
from reports.grid import Cell, Column, Grid, Line, plain
from reports.statistics.intervals import differences, is_covered
from reports.statistics.seed_noise import Floats
from reports.statistics.simulated import (
    BASE_NOISIER,
    IMAGE_SD,
    INDEPENDENT,
    ONE_NOISIER,
    REMAINDER_SD,
    ROWS,
    SEED_SD,
    SHARED,
    UNEQUAL,
    Design,
    null_tables,
)

PUBLISHED = Path(__file__).parents[1] / "published" / "coverage.json"
DESIGNS = (INDEPENDENT, SHARED, UNEQUAL, ONE_NOISIER, BASE_NOISIER)
SEEDS, IMAGES = (2, 3, 5, 8), (12, 24, 100)
_CHUNK = 100
"""Tables drawn at once: what fits into a few tens of megabytes."""


@dataclass(frozen=True)
class Case:
    """What was found for one design, number of seeds and number of images; shares are of 1."""

    design: str
    seeds: int
    images: int
    tables: int
    coverage: float
    """Of the 95 % interval of one difference, mean over the rows."""
    worst_row: float
    """The same of the row that is covered worst."""
    worded: float
    """Share of rows that get a word."""
    worded_coverage: float | None
    """Coverage of the intervals with a word; None where there are none."""
    family_error: float
    """Share of tables where any word is a gain or a loss, though all rows are equal."""


def measure(design: Design, seeds: int, images: int, tables: int, rng: np.random.Generator) -> Case:
    """Coverage and false words over so many tables of null rows."""
    found = [_outcomes(null_tables(design, size, seeds, images, rng), design) for size in _chunks(tables)]
    covered, together, worded = (np.concatenate([part[place] for part in found]) for place in range(3))
    return Case(
        design=design.name,
        seeds=seeds,
        images=images,
        tables=tables,
        coverage=float(covered.mean()),
        worst_row=float(covered.mean(0).min()),
        worded=float(worded.mean()),
        worded_coverage=float(covered[worded].mean()) if worded.any() else None,
        family_error=float((worded & ~together).any(-1).mean()),
    )


def cases(tables: int, seed: int = 0) -> Iterator[Case]:
    """Every design with every number of seeds and images, each from random numbers of its own."""
    settings = [(design, seeds, images) for design in DESIGNS for seeds in SEEDS for images in IMAGES]
    for place, (design, seeds, images) in enumerate(settings):
        yield measure(design, seeds, images, tables, np.random.default_rng([seed, place]))


def appendix(path: Path = PUBLISHED) -> Grid | None:
    """The published figures as a table of the report; None where they are not installed."""
    if not path.is_file():
        return None
    return grid([Case(**case) for case in json.loads(path.read_text(encoding="utf-8"))["cases"]])


def grid(found: Sequence[Case]) -> Grid:
    """The figures, a line a case."""
    return Grid(
        name="coverage",
        caption=f"How sure are the intervals? {found[0].tables:,} simulated tables a line, a base and {ROWS - 1} rows "
        "that are as good as it.",
        columns=_COLUMNS,
        lines=tuple(_line(case) for case in found),
        notes=(
            f"Noise in dB: {SEED_SD:g} of seeds (half of its variance common to all rows), {IMAGE_SD:g} of the images' "
            f"differences, {REMAINDER_SD:g} of a single score. Shared prefixes: three rows leave the base at once, "
            "three after 70 % of its seed variance, one ends after 85 %. Unequal noise: seed noise of every row, the "
            "base too, varies by a factor of e^0.5 (one standard deviation).",
            "Withheld: there is an interval but no word. Two seeds do not show which rows are noisier, and where "
            "one is, its interval is too short; so two seeds get no word at all.",
            "The limit: a base three times noisier than its rows stays unnoticed in about a third of tables of three "
            "seeds, and the words of those tables are less sure than they say. Five seeds are enough.",
        ),
    )


_COLUMNS = (
    Column("design", "table", numeric=False, heads_row=True),
    Column("seeds", "seeds"),
    Column("images", "images"),
    Column("coverage", "95 % intervals that cover", "%", hint="Of one difference; mean over the rows."),
    Column("worst_row", "worst row", "%", hint="The same for the row that is covered worst."),
    Column("worded", "rows with a word", "%"),
    Column("worded_coverage", "with a word, cover", "%", hint="Coverage of those intervals that carry a word."),
    Column("family_error", "tables with a false gain or loss", "%", hint="Anywhere in the table."),
)


def _line(case: Case) -> Line:
    covered = case.worded_coverage
    return (
        plain(case.design),
        Cell(case.seeds, str(case.seeds)),
        Cell(case.images, str(case.images)),
        _percent(case.coverage),
        _percent(case.worst_row),
        Cell(case.worded, text.number(100 * case.worded, 0)),
        Cell(None, "withheld") if covered is None else _percent(covered),
        Cell(None, "withheld") if covered is None else _percent(case.family_error),
    )


def _percent(share: float) -> Cell:
    return Cell(share, text.number(100 * share, 1))


def _outcomes(scores: Floats, design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each table and row: does its own interval cover 0, does the simultaneous one, does it get a word."""
    shape = (len(scores), ROWS - 1)
    covered, together, worded = (np.zeros(shape, dtype=bool) for _ in range(3))
    for members in design.branches.values():
        found = differences(scores[:, [0, *members]])
        places = [row - 1 for row in members]
        covered[:, places] = np.abs(found.mean) <= found.half_width(1)
        together[:, places] = np.abs(found.mean) <= found.half_width(ROWS - 1)
        worded[:, places] = is_covered(found.seeds, found.pooled)
    return covered, together, worded


def _chunks(tables: int) -> list[int]:
    full, rest = divmod(tables, _CHUNK)
    return [_CHUNK] * full + [rest] * (rest > 0)
