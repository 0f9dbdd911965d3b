"""Reports: from the record files of a run to pages that people read.

Disk is the interface: this package reads what a run left behind (`plan.json`, `record.json`, `scores.csv`, `curve.csv`,
images) or the few files of a published study. It imports nothing of the harness, so any record can be reported on any
machine, without the networks.

    schema, metrics, errors, atomic_write   what writer and readers share; all of `benchmark` may import these
    grid, text   a table as it is shown; numbers and names as people read them
    results      files -> `Results`: what finished, what did not and why; one `Summary` a row
    statistics   scores of seeds x images -> intervals and verdicts
    tables       numbers -> grids: columns, cells, captions
    figures      numbers -> drawings and pictures
    claims       claims of an experiment -> holds, refuted, not resolved
    comparison   several runs in one table
    pages        pages of a run, search, measurement or audit as HTML, Markdown, CSV and LaTeX; published studies

The same records give the same bytes: nothing here asks for the time, the host or a random number.
"""

from pathlib import Path


def write(source: Path, *, latex: bool = False) -> Path:
    """Write the report of a run, a published study, a search or a measurement.

    Writes index.html (self-contained), report.md, tables/*.csv and figures/*.svg|png; with `latex`, tables/*.tex too.
    Rows that failed, were rejected or have no readable record are shown with the reason.

    Args:
        source: The folder of a run or a search: the report lies in its folder `report`. A published study: in its
            folder `report_from_records`, so that the published report with its pictures stays. The file of
            `python -m benchmark measure --json`: in a folder beside it.
        latex: Write each table as LaTeX, too.

    Returns:
        The path of index.html.

    Raises:
        ReportError: The source is none of these, or the report cannot be written.
    """
    # Late, so that importing `reports` costs no pandas and no matplotlib.
    from reports.pages import files, measure_page, run_page, search_page
    from reports.results import load, published

    if source.is_file():
        return files.save(measure_page.build(source), source.with_name(f"{source.stem}_report"), latex=latex)
    if search_page.is_search(source):
        return files.save(search_page.build(source), source / "report", latex=latex)
    folder = "report_from_records" if published.is_study(source) else "report"
    return files.save(run_page.build(load.load(source)), source / folder, latex=latex)


def first_examples(run: Path) -> tuple[str, ...]:
    """Return the names of the test images that the report of a run folder shows at once.

    Raises:
        ReportError: `run` is no run folder.
    """
    from reports.figures import examples
    from reports.results import load

    return examples.first_examples(load.load(run))
