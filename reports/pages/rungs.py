"""The section about rungs: what each said of every row, and which conclusions changed from one to the next."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reports import text
from reports.claims import evaluate_claims
from reports.errors import FileFormatError, ReportError
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.pages import Section, section
from reports.results import Results, load
from reports.results.summary import ranked, summaries
from reports.schema import RUNGS, RungEntry, RungsFile, read
from reports.tables.differences import tables_against_base

_LEADER = "best row"


@dataclass(frozen=True)
class Conclusions:
    """What the records of one rung say."""

    steps: str
    """Share of the steps."""
    verdicts: Mapping[str, str]
    """Row -> verdict against base, `no verdict` where it has none."""
    gains: Mapping[str, float]
    """Row -> mean difference to base, better counted as positive."""
    leader: str
    claims: Mapping[str, str]
    """Claim -> outcome."""

    @property
    def statements(self) -> dict[str, str]:
        """Everything that may change from rung to rung, by what it is about."""
        claims = {f"claim {name}": outcome for name, outcome in self.claims.items()}
        return {_LEADER: self.leader, **self.verdicts, **claims}


def rungs_section(results: Results) -> Section:
    """Return the section about the rungs up to this one; without blocks where there is none before it."""
    rungs = conclusions_up_to(results)
    if len(rungs) < 2:
        return section("rungs", "Rungs")
    changes = changed(rungs)
    shares = text.listing([rung.steps for rung in rungs])
    start = f"The same rows with shares of their steps: {shares}. "
    summary = "These conclusions changed:" if changes else "No conclusion changed from one to the next."
    return section("rungs", "Rungs", start + summary, changes, _table(rungs, results))


def changed_conclusions(folder: Path) -> tuple[str, ...]:
    """Return a sentence for each conclusion that changed between the rungs up to the one in a folder.

    Raises:
        ReportError: The folder is none of a run.
    """
    return changed(conclusions_up_to(load.load(folder)))


def conclusions_up_to(results: Results) -> list[Conclusions]:
    """Return the conclusions of all rungs with results, up to the one that is given; none where it is no rung."""
    rungs: list[Conclusions] = []
    for entry in _rungs(results.folder):
        if entry.folder == results.folder.resolve().name:
            return [*rungs, _conclusions(entry, results)]
        with suppress(ReportError):  # it has not started, or was deleted
            rungs.append(_conclusions(entry, load.load(results.folder.resolve().with_name(entry.folder))))
    return []


def is_rung(results: Results) -> bool:
    """Return whether a run is a rung of an experiment with scales."""
    return results.folder.resolve().name in [entry.folder for entry in _rungs(results.folder)]


def changed(rungs: Sequence[Conclusions]) -> tuple[str, ...]:
    """Return a sentence for each statement that is not the same on all rungs that make it."""
    names = dict.fromkeys(name for rung in rungs for name in rung.statements)
    sentences: list[str] = []
    for name in names:
        steps = [(rung.steps, rung.statements[name]) for rung in rungs if name in rung.statements]
        kept = [step for at, step in enumerate(steps) if at == 0 or step[1] != steps[at - 1][1]]
        if len(kept) > 1:
            course = ", then ".join(f"{text.printable(statement)} at {share}" for share, statement in kept)
            sentences.append(f"{text.printable(name)}: {course}.")
    return tuple(sentences)


def _rungs(folder: Path) -> tuple[RungEntry, ...]:
    try:
        return read(RungsFile, folder / RUNGS).rungs if (folder / RUNGS).exists() else ()
    except FileFormatError:
        return ()


def _conclusions(entry: RungEntry, results: Results) -> Conclusions:
    rows, primary = summaries(results), results.metric(results.plan.primary)
    tables = tables_against_base(rows, results, primary)
    compared = [item for table in tables for item in table.comparisons.items() if not rows[item[0]].is_baseline]
    trained = ranked([row for row in rows.values() if not row.is_baseline], primary)
    return Conclusions(
        steps=entry.steps,
        verdicts={row: comparison.verdict or "no verdict" for row, comparison in compared},
        gains={difference.row: difference.gain for table in tables for difference in table.differences},
        leader=trained[0].row if trained else "none",
        claims={claim.claim.id: claim.result for claim in evaluate_claims.evaluate(results, rows)},
    )


def _table(rungs: Sequence[Conclusions], results: Results) -> Grid:
    primary = results.metric(results.plan.primary)
    names = list(dict.fromkeys(row for rung in rungs for row in rung.verdicts))

    def cell(rung: Conclusions, row: str) -> Cell:
        if row not in rung.verdicts:
            return Cell(None, text.ABSENT, hint="the row did not go on to this rung")
        gain = rung.gains.get(row)
        shown = text.with_unit(text.signed(gain, primary.difference_decimals), primary.unit)
        return Cell(gain, f"{shown}, {rung.verdicts[row]}")

    lines: list[Line] = [(plain(row), *(cell(rung, row) for rung in rungs)) for row in names]
    return Grid(
        name="rungs",
        caption=f"Gain in {primary.label} over base on each rung, and its verdict; {text.ABSENT}: not promoted to it.",
        columns=(
            ROW_COLUMN,
            *(Column(f"gain_{rung.steps.replace('/', '_')}", f"{rung.steps} of the steps") for rung in rungs),
        ),
        lines=tuple(lines),
    )
