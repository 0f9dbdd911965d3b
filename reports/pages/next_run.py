"""The card that says what to run next: what would settle what is open, with the command and its time."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from reports import text
from reports.metrics import Metric
from reports.pages import Card
from reports.pages.cards import candidates
from reports.pages.commands import rows_option, run_command, run_folder
from reports.results import Results
from reports.results.summary import BASE, Summary
from reports.tables.advice import SeedsNeeded, seeds_needed
from reports.tables.differences import DifferenceTable
from reports.tables.training import LastStage

_NEXT = "What to run next"
_MOST_SEEDS = 20
"""A row that needs more seeds than these is named, and no command is given for it."""
_MOST_NAMES = 6


def next_card(
    rows: Mapping[str, Summary],
    tables: Sequence[DifferenceTable],
    stages: Sequence[LastStage],
    results: Results,
    primary: Metric,
    *,
    beats_baselines: bool,
) -> Card:
    """Return the next run: first what is missing, then longer training where it is needed, then more seeds.

    Args:
        rows: All rows by name.
        tables: The differences to the base row.
        stages: How far each row learned.
        results: The run.
        primary: The metric that rows are compared by.
        beats_baselines: Whether any row beats all baselines; more seeds of rows that do not settle nothing.
    """
    if results.missing or not results.finished:
        reason = f"{text.count(len(results.missing), 'record')} of the plan are missing. The same command goes on."
        return Card(
            _NEXT, "", "finish this run", _time(_missing_seconds(rows)), (reason,), (run_command(results.plan),)
        )
    learning = [stage.row for stage in stages if stage.is_still_learning]
    longer = _longer_card(learning, rows, results)
    if longer and (not beats_baselines or len(learning) > len(stages) / 2):
        return longer
    more_seeds = _planned_card(tables) if results.plan.interim else _seeds_card(rows, tables, results, primary)
    return more_seeds or (longer if learning else None) or _settled_card(tables)


def _settled_card(tables: Sequence[DifferenceTable]) -> Card:
    reason = "Every row has a verdict. Try new rows, or confirm the best row on your own images."
    none = "There is no other row to compare with base. Add rows to the experiment."
    return Card(_NEXT, "", "nothing is open", (), (reason if tables else none,), ())


def _planned_card(tables: Sequence[DifferenceTable]) -> Card | None:
    """Return that the interim analyses are over and which rows they left open; None where they left none."""
    comparisons = [comparison for table in tables for comparison in table.comparisons.values()]
    left = [comparison.row for comparison in comparisons if comparison.verdict == "inconclusive"]
    if not left:
        return None
    reason = f"All planned interim analyses are done; {_named(left)} stayed open. More seeds in this run would be "
    reason += "unplanned: ask again with new seeds in an experiment of its own, or set a larger margin there."
    return Card(_NEXT, "", "a new experiment for what is open", (), (reason,), ())


def _longer_card(learning: Sequence[str], rows: Mapping[str, Summary], results: Results) -> Card | None:
    """Return the run with twice the steps in the longest stage of the base row."""
    base = rows.get(BASE) or next((row for row in rows.values() if not row.is_baseline), None)
    planned = next((row.stages for row in results.plan.rows if base and row.row == base.row), ())
    if not planned:
        return None
    stage = max(planned, key=lambda stage: stage.steps)
    seconds = 0.0
    for row in (row for row in rows.values() if not row.is_baseline):
        times = [s.seconds or 0.0 for record in row.finished for s in record.stages if s.name == stage.name]
        seconds += row.planned * ((row.seconds_per_seed or 0.0) + (fmean(times) if times else 0.0))
    command = run_command(
        results.plan,
        "--set",
        f"protocol.{stage.name}.steps={2 * stage.steps}",
        "--output",
        f"{run_folder(results.plan).rstrip('/')}_longer",
        keep_output=False,
    )
    reason = f"Twice the steps in stage {text.printable(stage.name)}: {2 * stage.steps:,}. More seeds "
    reason += "alone would hardly put a row above the best baseline."
    if learning:
        still = f"{text.count(len(learning), 'row')} still gained when training ended ({_named(learning)})."
        reason = f"{still} Twice the steps in stage {text.printable(stage.name)}: {2 * stage.steps:,}."
    return Card(_NEXT, "", "train longer", _time(seconds), (reason,), (command,))


def _seeds_card(
    rows: Mapping[str, Summary], tables: Sequence[DifferenceTable], results: Results, primary: Metric
) -> Card | None:
    """Return the run with the seeds that would settle the best row, or else half of the open rows; and only those."""
    margin = results.plan.equivalence_margin
    needed: dict[str, SeedsNeeded | None] = {}
    without_verdict: set[str] = set()
    for comparison in (comparison for table in tables for comparison in table.comparisons.values()):
        row = rows[comparison.row]
        if row.is_baseline:
            continue
        seeds = seeds_needed(comparison, len(row.finished), margin)
        if comparison.verdict == "inconclusive" or (comparison.verdict is None and seeds):
            needed[comparison.row] = seeds
            without_verdict |= set() if comparison.verdict else {comparison.row}
    present = sorted(results.plan.seeds)
    near = {
        row: amount.seeds
        for row, amount in needed.items()
        if amount and amount.images is None and len(present) < amount.seeds <= _MOST_SEEDS
    }
    across = [row for row, amount in needed.items() if amount and amount.is_there]
    far = [row for row in needed if row not in (*near, *across)]
    narrow = f"The interval of {_named(across)} is narrow enough, but lies across the margin."
    if not near:
        if not far:
            return Card(_NEXT, "", "nothing that more seeds settle", (), (narrow,), ()) if across else None
        reason = (
            f"{_with_seeds(far, needed)}: more than {_MOST_SEEDS} seeds, or more test images, would be needed to tell "
            f"{text.with_unit(f'{margin:g}', primary.unit)} apart. Set a larger margin, or test on more images."
        )
        return Card(_NEXT, "", "more test images", (), (reason, *[narrow] * bool(across)), ())
    best = candidates(rows, primary).best
    # What settles the choice comes first; else what settles half of the rows, those that cost least.
    total = near.get(best.row if best else "") or sorted(near.values())[(len(near) - 1) // 2]
    settled = [row for row, count in near.items() if count <= total]
    trained = [*([BASE] if BASE in rows else []), *settled]
    first = max(present, default=-1) + 1
    added = [str(seed) for seed in range(first, first + total - len(present))]
    every = trained if len(trained) < sum(not row.is_baseline for row in rows.values()) else []
    command = run_command(results.plan, *rows_option(every), "--seeds", ",".join(added))
    seconds = len(added) * sum(rows[row].seconds_per_seed or 0.0 for row in trained)
    more, matters = text.count(len(added), "more seed"), text.with_unit(f"{margin:g}", primary.unit)
    is_first = without_verdict & set(settled)
    effect = "give a first verdict" if is_first else f"tell {matters} apart with a chance of 50 %"
    notes = [f"{more} ({total} in all) would {effect} for {_with_seeds(settled, needed)}, against base."]
    later = [row for row in needed if row not in (*settled, *across)]
    left = f"Rows that need more are not in the command; seeds in all: {_with_seeds(later, needed)}."
    notes += [left] * bool(later) + [narrow] * bool(across)
    return Card(_NEXT, "", "more seeds", _time(seconds), tuple(notes), (command,))


def _missing_seconds(rows: Mapping[str, Summary]) -> float:
    """Return the time of the records that are missing, by those that are there."""
    trained = [row for row in rows.values() if not row.is_baseline]
    known_seconds = [seconds for row in trained if (seconds := row.seconds_per_seed) is not None]
    usual = fmean(known_seconds) if known_seconds else 0.0
    return sum((row.planned - len(row.attempts)) * (row.seconds_per_seed or usual) for row in trained)


def _time(seconds: float) -> tuple[tuple[str, str], ...]:
    return (("takes about", f"{text.duration(seconds)} on the machine of this run"),) if seconds else ()


def _with_seeds(rows: Sequence[str], needed: Mapping[str, SeedsNeeded | None]) -> str:
    """Return rows in words, each with the seeds that it needs as its table states them."""
    return _shortened(
        [f"{text.printable(row)} ({amount})" if (amount := needed[row]) else text.printable(row) for row in rows]
    )


def _named(rows: Sequence[str]) -> str:
    return _shortened([text.printable(row) for row in rows])


def _shortened(names: Sequence[str]) -> str:
    """Return a list in words of the first names, and of how many more there are."""
    more = len(names) - _MOST_NAMES
    return text.listing([*names[:_MOST_NAMES], f"{more} more"] if more > 0 else [*names])
