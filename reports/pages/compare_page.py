"""The pages of a comparison of runs and of a leaderboard."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reports import text
from reports.comparison.compare import ComparedRuns
from reports.comparison.leaderboard import Leaderboard
from reports.errors import ReportError
from reports.figures.drawing import RenderedFigure
from reports.figures.row_lines import forest
from reports.metrics import Metric
from reports.pages import Details, ExploredTable, LinkedPlot, Page, files, section
from reports.pages.explored_ranking import explored_ranking
from reports.pages.glossary import glossary
from reports.pages.page_data import page_data
from reports.pages.row_details import facts_of_row
from reports.results import Results
from reports.results.further_tests import further_tests
from reports.results.summary import Summary, image_count, ranked, summaries
from reports.tables import gates, provenance, score_tables
from reports.tables.test_sets import pivot_table

_MOST_NAMES = 6
_PLOT_NOTE = "The plot is drawn by the script of the page, with axes to choose; the numbers are in the ranking."


def write(page: Page, folder: Path) -> Path:
    """Write index.html, report.md, tables and figures of a page into `folder`.

    Returns:
        The path of index.html.

    Raises:
        ReportError: The folder is that of a run, or cannot be written to.
    """
    if (folder / "plan.json").exists():
        raise ReportError(f"{folder}: is the folder of a run; name another folder with --output")
    return files.save(page, folder)


def comparison_page(compared: ComparedRuns) -> Page:
    """Return the page of a comparison: ranking, plot and rows to look around in, as on the page of a run."""
    rows, metric, results = summaries(compared.results), compared.metric, compared.results
    everything = list(rows.values())
    first = ranked([row for row in everything if not row.is_baseline], metric)[0]
    value = text.with_unit(text.number(first.mean(metric.name), metric.decimals), metric.unit)
    tests = further_tests(results, rows)
    grids = (compared.differences.grid,)
    ranking = explored_ranking(rows, results, metric, grids, tests, compared.sets[0].order, compared.reference)
    may_be_best = compared.sets[0].order.may_be_best(compared.sets[0].order.rows)
    return Page(
        title=f"Comparison of {text.printable(results.plan.experiment)}",
        facts=(text.count(len(results.plan.seeds), "common seed"), text.count(image_count(results), "test image")),
        headline=(
            f"{text.printable(first.row)} has the best mean: {value} {metric.label}.",
            f"{text.count(len(may_be_best), 'row')} may be best: {_listed(may_be_best)}.",
        ),
        data=page_data(ranking, rows, results, metric, grids, tests),
        sections=(
            section("ranking", "Ranking", ExploredTable(ranking, ()), score_tables.all_metrics(everything, metric)),
            section("latency", "Quality and cost", LinkedPlot(None, None, _PLOT_NOTE)),
            section("test-sets", "All test sets", pivot_table(everything, compared.sets, compared.reference)),
            section(
                "differences",
                f"Differences to {text.printable(compared.reference)}",
                compared.differences.grid,
                _forest(compared) if compared.differences.differences else None,
            ),
            section("checks", "What was checked, and what differs", compared.notes),
            section(
                "rows",
                "Row by row",
                *_row_by_row(everything, results, metric),
            ),
            section("problems", "Rows without result", compared.problems),
            section("gates", "Gates", gates.gate_table(gates.gates_of(everything))),
            section(
                "provenance",
                "Provenance",
                provenance.provenance_table([record.provenance for record in results.records], results.plan.seeds),
            ),
            section("glossary", "Glossary", glossary()),
        ),
    )


def leaderboard_page(leaderboard: Leaderboard) -> Page:
    """Return the page of a leaderboard: a section for each metric and set of test images.

    The largest ranking is one to look around in, as on the page of a run.
    """
    several = len(leaderboard.boards) > 1
    rows = text.count(sum(len(board.results.plan.rows) for board in leaderboard.boards), "row")
    parts = ", in parts that cannot be compared with each other" if several else ""
    data, details = None, tuple[Details, ...]()
    if leaderboard.boards:
        largest = leaderboard.boards[0]
        of_rows = summaries(largest.results)
        data = page_data(largest.ranking, of_rows, largest.results, largest.metric, (), ())
        details = _row_by_row(list(of_rows.values()), largest.results, largest.metric)
    return Page(
        title="Leaderboard",
        facts=(rows, text.count(len(leaderboard.boards), "ranking")),
        headline=(f"{rows} ranked by the mean over seeds and test images{parts}.",),
        data=data,
        sections=(
            *(
                section(
                    f"ranking-{number}" if number > 1 else "ranking",
                    f"{board.metric.label}, {board.data}",
                    board.ranking if number > 1 else ExploredTable(replace(board.ranking, row_anchor="row"), ()),
                    LinkedPlot(None, None, _PLOT_NOTE) if number == 1 else None,
                )
                for number, board in enumerate(leaderboard.boards, 1)
            ),
            section("test-sets", "All test sets", *(board.pivot for board in leaderboard.boards)),
            section("rows", "Row by row", *details),
            section("excluded", "Not ranked", leaderboard.exclusions),
            section("glossary", "Glossary", glossary()),
        ),
    )


def _row_by_row(rows: Sequence[Summary], results: Results, metric: Metric) -> tuple[Details, ...]:
    """Return what the drawer of a row shows: seeds, limits, cost and stages."""
    return tuple(
        Details(
            text.printable(row.row),
            facts_of_row(row, results, metric),
            anchor=f"details-{text.anchor(text.printable(row.row))}",
        )
        for row in rows
        if not row.is_baseline and row.attempts
    )


def _listed(rows: Sequence[str]) -> str:
    """Return at most a few names."""
    names = [text.printable(row) for row in rows[:_MOST_NAMES]]
    left = len(rows) - len(names)
    return text.listing([*names, *([f"{left} more"] if left else [])])


def _forest(compared: ComparedRuns) -> RenderedFigure:
    name, margin, metric = text.printable(compared.reference), compared.results.plan.equivalence_margin, compared.metric
    band = " The shaded band holds differences too small to matter in the first experiment." if margin else ""
    # Intervals of two seeds are so wide that everything else would be flattened; the table has them all.
    resolved = {row: comparison for row, comparison in compared.differences.comparisons.items() if comparison.verdict}
    return RenderedFigure(
        "differences",
        "Reading: a line that crosses 0 leaves open which row is better. "
        f"{metric.label} minus that of {name}. A square is the mean: filled, with its interval as a line, where "
        f"there is a verdict, otherwise hollow. A dot is a seed.{band}",
        f"Forest plot of the differences to {name}; the numbers are in the table above it.",
        forest(compared.differences.differences, resolved, metric, margin, compared.reference),
    )
