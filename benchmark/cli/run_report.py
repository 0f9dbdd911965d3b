"""The report at the end of a run."""

from pathlib import Path

from benchmark.experiment.plan import Plan
from benchmark.runner.context import Context
from benchmark.runner.maps import write_map_images
from reports import Report, first_examples, write
from reports.report_stamp import is_current, note_inputs


def write_report(plan: Plan, context: Context, *, is_changed: bool) -> Report:
    """Write the report of all rows of a plan; one that its files would give again stands."""
    if not is_changed and is_current(context.output):
        return Report(Path(context.output / "report/index.html"))
    write_map_images(plan, first_examples(context.output), context)
    report = write(context.output)
    if not report.damage:
        note_inputs(context.output)
    return report
