"""The pages of a comparison of runs and of a leaderboard."""

from pathlib import Path

from reports import text
from reports.comparison.compare import ComparedRuns
from reports.comparison.leaderboard import Leaderboard
from reports.errors import ReportError
from reports.figures.drawing import RenderedFigure
from reports.figures.row_lines import forest
from reports.pages import Page, files, section
from reports.results.summary import image_count, ranked, summaries
from reports.tables import gates, provenance, score_tables


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
    """Return the page of a comparison."""
    rows, metric, results = list(summaries(compared.results).values()), compared.metric, compared.results
    first = ranked([row for row in rows if not row.is_baseline], metric)[0]
    value = text.with_unit(text.number(first.mean(metric.name), metric.decimals), metric.unit)
    return Page(
        title=f"Comparison of {text.printable(results.plan.experiment)}",
        facts=(text.count(len(results.plan.seeds), "common seed"), text.count(image_count(results), "test image")),
        headline=(f"{text.printable(first.row)} has the best mean: {value} {metric.label}.",),
        sections=(
            section("ranking", "Ranking", compared.ranking, score_tables.all_metrics(rows, metric)),
            section(
                "differences",
                f"Differences to {text.printable(compared.reference)}",
                compared.differences.grid,
                _forest(compared) if compared.differences.differences else None,
            ),
            section("checks", "What was checked, and what differs", compared.notes),
            section("problems", "Rows without result", compared.problems),
            section("gates", "Gates", gates.gate_table(gates.gates_of(rows))),
            section(
                "provenance",
                "Provenance",
                provenance.provenance_table([record.provenance for record in results.records], results.plan.seeds),
            ),
        ),
    )


def leaderboard_page(leaderboard: Leaderboard) -> Page:
    """Return the page of a leaderboard: a section for each metric and set of test images."""
    several = len(leaderboard.boards) > 1
    rows = text.count(sum(len(board.results.plan.rows) for board in leaderboard.boards), "row")
    parts = ", in parts that cannot be compared with each other" if several else ""
    return Page(
        title="Leaderboard",
        facts=(rows, text.count(len(leaderboard.boards), "ranking")),
        headline=(f"{rows} ranked by the mean over seeds and test images{parts}.",),
        sections=(
            *(
                section(
                    f"ranking-{number}" if several else "ranking", f"{board.metric.label}, {board.data}", board.ranking
                )
                for number, board in enumerate(leaderboard.boards, 1)
            ),
            section("excluded", "Not ranked", leaderboard.exclusions),
        ),
    )


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
