"""Reports: from the record files of a run to pages that people read.

Disk is the interface: this package reads what a run left behind (`plan.json`, `record.json`, `scores.csv`, `curve.csv`,
images) and imports nothing of the harness, so any record can be reported on any machine, without the networks.

    results      files -> Results: what finished, what did not and why; one Summary a row: means over seeds, cost
    statistics   scores of seeds x images -> intervals, and words for them; do such intervals hold?
    claims       what an experiment states -> holds, refuted, not resolved; numbers that a Markdown file quotes
    tables       numbers -> Grids: columns, cells, captions
    figures      numbers -> drawings and pictures
    comparison   several runs in one table
    pages        everything a page says, in the order it says it, of a run, a search, a measurement or an audit; its
                 forms: HTML, Markdown, CSV, LaTeX

Below them all: `metrics` (names, units, directions), `grid` (a table as it is shown), `text` (numbers and names as
people read them).

The same records give the same bytes: nothing here asks for the time, the host or a random number.
"""

from pathlib import Path


def write(source: Path, *, latex: bool = False) -> Path:
    """Write the report of a run or a search into its folder `report`, that of a measurement into a folder beside it.

    Writes index.html (self-contained), report.md, tables/*.csv and figures/*.svg|png; with `latex`, tables/*.tex too.
    Rows that failed, were rejected or have no readable record are shown with the reason.

    Args: source: the folder of a run or of a search, or the file of `python -m benchmark measure --json`.

    Returns: the path of index.html. Raises: `ReportError` where it is none of the three or cannot be written to.
    """
    # Late, so that naming the error or this function costs no pandas and no matplotlib.
    from reports.pages import files, measure_page, run_page, search_page
    from reports.results import load

    if source.is_file():
        return files.save(measure_page.build(source), source.with_name(f"{source.stem}_report"), latex=latex)
    if search_page.is_search(source):
        return files.save(search_page.build(source), source / "report", latex=latex)
    return files.save(run_page.build(load.load(source)), source / "report", latex=latex)


def first_examples(run: Path) -> tuple[str, ...]:
    """Names of the test images that the report of a run folder shows at once.

    Raises: `ReportError` where `run` is no run folder.
    """
    from reports.figures import examples
    from reports.results import load

    return examples.first_examples(load.load(run))
