"""Comparisons and leaderboards as pages of their own."""

from pathlib import Path

from reports import text
from reports.comparison.compare import Compared
from reports.comparison.leaderboard import Board, Leaderboard
from reports.errors import ReportError
from reports.figures.figure_output import Drawing, render, style
from reports.figures.forest import forest
from reports.grid import Grid
from reports.pages import files
from reports.pages.section_page import PlainPage, Section
from reports.results.summary import Summary, image_count, ranked, summaries
from reports.tables import gates, provenance, score_tables


def write(page: PlainPage, folder: Path) -> Path:
    """Write index.html, report.md, tables and figures of a page into `folder`.

    Returns: the path of index.html. Raises: `ReportError` where the folder is a run, or cannot be written to.
    """
    if (folder / "plan.json").exists():
        raise ReportError(f"{folder}: is the folder of a run; name another with --output")
    return files.save(page, folder)


def comparison(found: Compared) -> PlainPage:
    """The page of a comparison."""
    rows = list(summaries(found.results).values())
    left_out = (Section("problems", "Rows without result", grids=(found.problems,)),) if found.problems else ()
    checked = Section("checks", "What was checked, and what differs", notes=found.notes)
    return PlainPage(
        title=f"Comparison of {text.printable(found.results.plan.experiment)}",
        facts=(
            text.count(len(found.results.plan.seeds), "common seed"),
            text.count(image_count(found.results), "test image"),
        ),
        lead=_leading(rows, found),
        sections=(
            Section("ranking", "Ranking", grids=(found.ranking, score_tables.all_metrics(rows, found.metric))),
            Section(
                "differences",
                f"Differences to {text.printable(found.reference)}",
                grids=(found.opposed.grid,),
                drawings=_drawings(found),
            ),
            checked,
            *left_out,
            *_sources(rows, provenance.grid(found.results)),
        ),
    )


def board(found: Leaderboard) -> PlainPage:
    """The page of a leaderboard: a section for each set of test images and metric."""
    several = len(found.boards) > 1
    boards = tuple(_section(one, f"-{number}" if several else "") for number, one in enumerate(found.boards, 1))
    left_out = (Section("unranked", "Not ranked", grids=(found.unranked,)),) if found.unranked else ()
    ranking = sum(len(one.ranking.lines) for one in found.boards)
    parts = " in parts that cannot be compared with each other" if several else ""
    return PlainPage(
        title="Leaderboard",
        facts=(text.count(ranking, "row"), text.count(len(found.boards), "ranking")),
        lead=f"{text.count(ranking, 'row')} ranked by the mean over seeds and test images{parts}.",
        sections=(*boards, *left_out),
    )


def _leading(rows: list[Summary], found: Compared) -> str:
    first = ranked([row for row in rows if not row.is_baseline], found.metric)[0]
    shown = text.number(first.mean(found.metric.name), found.metric.decimals)
    value = text.with_unit(shown, found.metric.unit)
    return f"{text.printable(first.row)} has the best mean: {value} {found.metric.label}."


def _drawings(found: Compared) -> tuple[Drawing, ...]:
    if not found.opposed.found:
        return ()
    name, margin = text.printable(found.reference), found.results.plan.equivalence_margin
    band = " The shaded band is what the first experiment counts as too small to matter." if margin else ""
    with style():
        # Intervals of two seeds are so wide that nothing else could be seen beside them; the table has them all.
        sure = {row: verdict for row, verdict in found.opposed.verdicts.items() if verdict.word}
        figure = forest(found.opposed.found, sure, found.metric, margin, found.reference)
        drawing = render(
            figure,
            "differences",
            f"{found.metric.label} minus that of {name}. A square is the mean, with its interval as a line where "
            f"there is a word, else hollow; a dot is a seed.{band}",
            f"Forest plot of the differences to {name}; the numbers are in the table above it.",
        )
    return (drawing,)


def _section(one: Board, suffix: str) -> Section:
    return Section(f"ranking{suffix}", f"{one.metric.label}, {one.data}", grids=(one.ranking,))


def _sources(rows: list[Summary], of_records: Grid) -> tuple[Section, ...]:
    judged = gates.grid(rows)
    measured = (Section("gates", "Gates", grids=(judged,)),) if judged else ()
    return (*measured, Section("provenance", "Provenance", grids=(of_records,)))
