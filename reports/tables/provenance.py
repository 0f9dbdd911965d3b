"""Where the numbers come from, and how far to trust them: provenance, missing results, citations, coverage."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.results import Results
from reports.results.summary import Summary
from reports.schema import Json

COVERAGE = Path(__file__).parents[1] / "published" / "coverage.json"
"""Results of tools/coverage_study.py."""
INTERIM = COVERAGE.with_name("interim.json")
"""Results of tools/interim_study.py."""
_COVERAGE_COLUMNS = (
    Column("design", "simulated table", numeric=False, is_row_header=True),
    Column("seeds", "seeds"),
    Column("images", "images"),
    Column("coverage", "95 % intervals that cover", "%", hint="Of one difference, mean over the rows."),
    Column("worst_row", "worst row", "%", hint="The same for the row that is covered worst."),
    Column("with_verdict", "rows with a verdict", "%"),
    Column("coverage_with_verdict", "cover, with verdict", "%", hint="Coverage of the intervals that have a verdict."),
    Column("family_error", "tables with a false gain or loss", "%", hint="In any row of the table."),
)
_FIELDS = {
    "command": "command",
    "commit": "commit",
    "device": "device",
    "device_name": "device name",
    "threads": "threads",
    "allocator": "allocator",
    "environment": "environment",
    "python": "Python",
    "torch": "torch",
    "platform": "platform",
}


@dataclass(frozen=True)
class CoverageCase:
    """Result of the coverage study for one design, number of seeds and number of images; shares are of 1."""

    design: str
    seeds: int
    images: int
    tables: int
    coverage: float
    """Coverage of the 95 % interval of one difference, mean over the rows."""
    worst_row: float
    """The same of the row that is covered worst."""
    with_verdict: float
    """Share of rows that have a verdict."""
    coverage_with_verdict: float | None
    """Coverage of the intervals with a verdict; None where there are none."""
    family_error: float
    """Share of tables where any verdict is a gain or a loss, though all rows are equal."""
    coverage_deviation: float
    """Monte Carlo error of the coverage: one standard error."""
    family_error_deviation: float
    """Monte Carlo error of the share of false tables."""


@dataclass(frozen=True)
class InterimCase:
    """How often a table of equal rows has a false gain or loss at any of several analyses; shares are of 1."""

    analyses: tuple[int, ...]
    """Seeds at each analysis."""
    is_planned: bool
    """Whether the error rate is spent over the analyses; else each takes all of it."""
    tables: int
    false_tables: float
    deviation: float
    """Monte Carlo error of `false_tables`: one standard error."""


@dataclass(frozen=True)
class InterimStudyCase:
    """What whole runs with planned interim analyses came to, simulated; shares are of 1."""

    case: str
    analyses: tuple[int, ...]
    """Seeds at each analysis."""
    tables: int
    false_words: float
    """Share of runs where a verdict or a claim contradicts the truth."""
    false_words_deviation: float
    """Its Monte Carlo error: one standard error."""
    missed: float
    """Share of runs where an interval with a verdict misses the true difference."""
    missed_deviation: float
    mean_seeds: float
    """Of all rows but base."""
    resolved: float
    """Share of rows that end resolved."""


def provenance_table(provenances: Sequence[Json], seeds: Sequence[int] = ()) -> Grid:
    """Return one line a fact; where records differ, every value with its number of records.

    Args:
        provenances: The provenance of each record.
        seeds: The planned seeds; left out where there are none.
    """
    values = {
        label: _counted([_field(provenance, name) for provenance in provenances]) for name, label in _FIELDS.items()
    }
    values["versions"] = _counted([_versions(provenance) for provenance in provenances])
    started = sorted(str(provenance["started"]) for provenance in provenances if provenance.get("started"))
    values["seeds"] = ", ".join(map(str, seeds))
    values["started"] = " to ".join(dict.fromkeys([started[0], started[-1]])) if started else ""
    columns = (Column("fact", "fact", numeric=False, is_row_header=True), Column("value", "value", numeric=False))
    return Grid(
        "provenance",
        "Provenance of the records.",
        columns,
        tuple((plain(name), plain(value)) for name, value in values.items() if value),
    )


def problem_table(results: Results) -> Grid | None:
    """Return rows and seeds without a result; None where all have one."""
    columns = (
        ROW_COLUMN,
        Column("seed", "seed"),
        Column("kind", "what", numeric=False),
        Column("reason", "reason", numeric=False),
    )
    lines = tuple(
        (
            plain(problem.row),
            Cell(problem.seed, text.seed_name(problem.seed)),
            plain(problem.kind),
            plain(problem.reason),
        )
        for problem in results.problems
    )
    return Grid("problems", "Rows and seeds without a result, and why.", columns, lines) if lines else None


def citations(rows: Sequence[Summary]) -> tuple[str, ...]:
    """Return the BibTeX entries of all backbones, each once."""
    return tuple(dict.fromkeys(entry.strip() for row in rows if row.model for entry in row.model.citations))


def coverage_table(path: Path = COVERAGE) -> Grid | None:
    """Return how often the intervals hold on simulated tables; None where the study is not installed."""
    if not path.is_file():
        return None
    study = json.loads(path.read_text(encoding="utf-8"))
    cases = [CoverageCase(**case) for case in study["cases"]]
    caption = f"How reliable are the intervals? {cases[0].tables:,} simulated tables a line, where all rows are equal."
    return Grid(
        "coverage",
        caption,
        _COVERAGE_COLUMNS,
        tuple(_coverage_line(case) for case in cases),
        notes=(*study["notes"], *_interim_notes([InterimCase(**case) for case in study["interim"]]), *_run_notes()),
    )


def _interim_notes(cases: Sequence[InterimCase]) -> list[str]:
    """Return what analyses of the same rows after more and more seeds do to the error rate."""

    def shares(is_planned: bool) -> str:
        chosen = [case for case in cases if case.is_planned is is_planned]
        return text.listing([f"{_percent(case.false_tables, case.deviation)} % {_after(case)}" for case in chosen])

    return [
        f"Tables with a false gain or loss where seeds are added and each analysis takes the whole error rate: "
        f"{shares(False)}. Where the error rate is spent over analyses that were planned: {shares(True)}."
    ]


def _run_notes(path: Path = INTERIM) -> list[str]:
    """Return how often whole runs with planned analyses say something false; empty where the study is not installed."""
    if not path.is_file():
        return []
    cases = [InterimStudyCase(**case) for case in json.loads(path.read_text(encoding="utf-8"))]
    shares = [
        f"{_percent(case.false_words, case.false_words_deviation)} % ({case.case}, {case.mean_seeds:.0f} seeds a row)"
        for case in cases
    ]
    return [
        f"Whole runs in which rows stop once resolved, {cases[0].tables:,} simulated of each kind: the share where a "
        f"verdict or a claim is false is {text.listing(shares)}."
    ]


def _after(case: InterimCase) -> str:
    analyses = text.count(len(case.analyses), "analysis", "analyses")
    return f"with {analyses} (after {', '.join(map(str, case.analyses))} seeds)"


def _percent(share: float, deviation: float) -> str:
    return f"{text.number(100 * share, 1)} ± {text.number(100 * deviation, 1)}"


def _coverage_line(case: CoverageCase) -> Line:
    def percent(share: float | None, decimals: int = 1) -> Cell:
        return Cell(None, "withheld") if share is None else Cell(share, text.number(100 * share, decimals))

    return (
        plain(case.design),
        Cell(case.seeds, str(case.seeds)),
        Cell(case.images, str(case.images)),
        Cell(case.coverage, _percent(case.coverage, case.coverage_deviation)),
        percent(case.worst_row),
        percent(case.with_verdict, 0),
        percent(case.coverage_with_verdict),
        Cell(case.family_error, _percent(case.family_error, case.family_error_deviation))
        if case.with_verdict
        else Cell(None, "withheld"),
    )


def _field(provenance: Json, name: str) -> str:
    shown = "" if provenance.get(name) is None else str(provenance[name])
    return f"{shown} with uncommitted changes" if name == "commit" and shown and provenance.get("dirty") else shown


def _versions(provenance: Json) -> str:
    versions = provenance.get("versions")
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {version}" for name, version in cast(Json, versions).items())


def _counted(values: Sequence[str]) -> str:
    present = [value for value in values if value]
    different = list(dict.fromkeys(present))
    if len(different) < 2:
        return "".join(different)
    return "; ".join(f"{value} ({text.count(present.count(value), 'record')})" for value in different)
