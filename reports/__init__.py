"""Reports: from the record files of a run to pages that people read.

Disk is the interface: this package reads what a run left behind (`plan.json`, `record.json`, `scores.csv`, `curve.csv`,
images) and imports nothing of the harness, so any record can be reported on any machine, without the networks.

    load        files -> Results: what finished, what did not and why
    summary     Results -> one Summary a row: means over seeds, cost, gates; differences to the base row
    tables, costs, provenance    numbers -> Grids: columns, cells, captions
    figures, examples            numbers -> drawings and pictures
    page        everything a report says, in the order it says it
    html, markdown, csvfile      the same page in three forms

The same records give the same bytes: nothing here asks for the time, the host or a random number.
"""

from pathlib import Path


class ReportError(ValueError):
    """The folder cannot be reported on; the message says what was read and what is expected."""


def write(run: Path) -> Path:
    """Write the report of a run folder into `run/report`.

    Writes index.html (self-contained), report.md, tables/*.csv and figures/*.svg|png. Rows that failed, were rejected
    or have no readable record are shown with the reason.

    Returns: the path of index.html. Raises: `ReportError` where `run` is no run folder or cannot be written to.
    """
    # Late, so that naming the error or this function costs no pandas and no matplotlib.
    from reports import files, load, page

    return files.save(page.build(load.load(run)), run / "report")


def first_examples(run: Path) -> tuple[str, ...]:
    """Names of the test images that the report of a run folder shows at once.

    Raises: `ReportError` where `run` is no run folder.
    """
    from reports import examples, load

    return examples.first_examples(load.load(run))
