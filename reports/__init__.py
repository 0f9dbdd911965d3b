"""Reports: from the record files of a run to pages that people read.

Disk is the interface: this package reads what a run left behind (`plan.json`, `record.json`, `scores.csv`, `curve.csv`,
images) and imports nothing of the harness, so any record can be reported on any machine, without the networks.

    load        files -> Results: what finished, what did not and why
    summary     Results -> one Summary a row: means over seeds, cost, gates; differences to the base row
    statistics, seednoise        scores of seeds x images -> intervals; simulated, coverage: do they hold?
    branches, verdicts           Results -> intervals and words, row by row
    stated, gains, cheaper, claims    what an experiment states -> holds, refuted, not resolved
    quotes      numbers in a Markdown file, held against records
    learning, tuned              were rows trained long enough, and with settings that suit them?
    tables, differences, costs, severity, degradation, provenance    numbers -> Grids: columns, cells, captions
    figures, forest, front, examples, image_differences              numbers -> drawings and pictures
    answer, outlook              the sentences on the first screen, and what would change them
    page        everything a report says, in the order it says it
    merged, compare, opposed, leaderboard, compare_page    several runs in one table
    audit       the page of `data check`
    html, markdown               the same page in two forms; latex, csvfile: a grid in two others
    search_page, measure_page    the same for a search and a measurement, of the same parts
    watch       the report of a run that still goes on

The same records give the same bytes: nothing here asks for the time, the host or a random number.
"""

from pathlib import Path


class ReportError(ValueError):
    """The folder cannot be reported on; the message says what was read and what is expected."""


def write(source: Path) -> Path:
    """Write the report of a run or a search into its folder `report`, that of a measurement into a folder beside it.

    Writes index.html (self-contained), report.md, tables/*.csv|tex and figures/*.svg|png. Rows that failed, were
    rejected or have no readable record are shown with the reason.

    Args: source: the folder of a run or of a search, or the file of `python -m benchmark measure --json`.

    Returns: the path of index.html. Raises: `ReportError` where it is none of the three or cannot be written to.
    """
    # Late, so that naming the error or this function costs no pandas and no matplotlib.
    from reports import files, load, measure_page, page, search_page

    if source.is_file():
        return files.save(measure_page.build(source), source.with_name(f"{source.stem}_report"))
    if search_page.is_search(source):
        return files.save(search_page.build(source), source / "report")
    return files.save(page.build(load.load(source)), source / "report")


def first_examples(run: Path) -> tuple[str, ...]:
    """Names of the test images that the report of a run folder shows at once.

    Raises: `ReportError` where `run` is no run folder.
    """
    from reports import examples, load

    return examples.first_examples(load.load(run))
