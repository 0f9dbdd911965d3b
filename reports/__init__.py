"""Reports: from the record files of a run to pages that people read.

Disk is the interface: this package reads what a run left behind (`plan.json`, `record.json`, `scores.csv`, `curve.csv`,
images) or the few files of a published study. It imports nothing of the harness, so any record can be reported on any
machine, without the networks.

    schema, metrics, errors   what writer and readers share; all of `benchmark` may import these, and the next three
    file_access, process_identity   files that a user names: never half written, never a hang
    digests      SHA-256 of the files beside a record
    grid, text   a table as it is shown; numbers and names as people read them
    results      files -> `Results`: what finished, what did not and why; one `Summary` a row
    statistics   scores of seeds x images -> intervals and verdicts
    tables       numbers -> grids: columns, cells, captions
    figures      numbers -> drawings and pictures
    claims       claims of an experiment -> holds, refuted, not resolved
    comparison   several runs in one table
    blind        people choose between images without knowing the rows
    pages        pages of a run, search, measurement or audit as HTML, Markdown, CSV and LaTeX; published studies

The same records give the same bytes: nothing here asks for the time, the host or a random number.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """A report that was written."""

    page: Path
    """The path of index.html."""
    damage: tuple[str, ...] = ()
    """A line for each damaged file; the report leaves its row out."""
    unchecked: int = 0
    """Records of an earlier version, which cannot tell whether the files beside them are damaged."""


def write(source: Path, *, latex: bool = False) -> Report:
    """Write the report of a run, a published study, a search or a measurement.

    Writes index.html (self-contained), report.md, tables/*.csv, figures/*.svg and pictures as figures/*.png; with
    `latex`, tables/*.tex too. Rows that failed, were rejected or have no readable record are shown with the
    reason.

    Args:
        source: The folder of a run or a search: the report lies in its folder `report`. A published study: in its
            folder `report_from_records`, so that the published report with its pictures stays. The file of
            `python -m benchmark measure --json`: in a folder beside it.
        latex: Write each table as LaTeX, too.

    Raises:
        ReportError: The source is none of these, or the report cannot be written.
    """
    # Late, so that importing `reports` costs no pandas.
    from reports.pages import blind_page, files, measure_page, run_page
    from reports.results import load, published

    if source.is_file():
        return Report(files.save(measure_page.build(source), source.with_name(f"{source.stem}_report"), latex=latex))
    folder = "report_from_records" if published.is_study(source) else "report"
    if not (source / "plan.json").exists():  # a run needs no module of a search
        from reports.pages import search_page

        if search_page.is_search(source):
            page = search_page.build(source)
            return Report(files.save(page, source / folder, latex=latex), page.damage)
    results = load.load(source)
    page = files.save(run_page.build(results), source / folder, latex=latex)
    return Report(page, (*results.damage, *blind_page.ranking_damage(source)), results.unchecked)


def first_examples(run: Path) -> tuple[str, ...]:
    """Return the names of the test images that the report of a run folder shows at once.

    Raises:
        ReportError: `run` is no run folder.
    """
    from reports.figures import examples
    from reports.results import load

    return examples.first_examples(load.load(run))
