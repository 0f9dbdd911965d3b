"""All about one row: settings, verdicts, gates, cost, seeds, stages and curves, and the command that repeats it."""

from collections.abc import Mapping, Sequence

from reports import text
from reports.figures.drawing import RenderedFigure
from reports.figures.loss_curves import loss_curves
from reports.grid import Cell, Column, Grid, plain
from reports.metrics import Metric
from reports.pages import Block, Code, Details, present
from reports.pages.commands import row_command
from reports.results import Results
from reports.results.summary import BASE, Summary
from reports.schema import ArtefactCheck
from reports.statistics.verdicts import MEANINGS, Comparison
from reports.tables import gates, training
from reports.tables.differences import DifferenceTable
from reports.tables.interval_text import interval_text, scale
from reports.tables.score_tables import metric_names
from reports.tables.settings import settings_table


def row_details(
    row: Summary,
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    compared: Sequence[DifferenceTable],
    *,
    is_open: bool,
) -> Details:
    """Return what the page says about one trained row."""
    cost = training.cost_of(row)
    parts = [
        f"{text.count(cost.trained_steps, 'step')} trained in {text.duration(cost.trained_seconds)}"
        if cost.trained_steps
        else "",
        f"{text.count(cost.reused_steps, 'step')} reused" if cost.reused_steps else "",
    ]
    without_stages = "not trained: its weights are from a file" if row.finished else "no stage finished"
    return Details(
        row.row,
        present(
            _settings(row, rows),
            _verdicts(row, list(rows.values()), primary, compared),
            *facts_of_row(row, results, primary),
            _loss_figure(row, results) or "No loss was logged.",
            "This trains and tests the row again, or goes on where it stopped:",
            Code(row_command(row, results), "sh"),
        ),
        ", ".join(filter(None, parts)) or without_stages,
        is_open,
        anchor=f"details-{text.anchor(text.printable(row.row))}",
    )


def facts_of_row(row: Summary, results: Results, primary: Metric) -> tuple[Block, ...]:
    """Return the tables of a trained row: seeds, limits, cost, exported files and stages."""
    return present(
        _seeds_table(row, results, primary),
        _gates_table(row),
        _costs(row, training.cost_of(row).peak_memory_bytes),
        _exports_table(row),
        training.stage_table(row),
    )


def _settings(row: Summary, rows: Mapping[str, Summary]) -> Block | None:
    base = rows.get(BASE)
    if row.row == BASE:
        return "This is the base row: the others are compared with it."
    if not base or not base.attempts or not row.attempts:
        return None
    return settings_table(row.attempts[0], base.attempts[0])


def _verdicts(
    row: Summary, rows: Sequence[Summary], primary: Metric, compared: Sequence[DifferenceTable]
) -> tuple[str, ...]:
    """Return a sentence for each table that compares the row with base."""
    return tuple(
        f"Table {text.printable(table.table)}: {_verdict(table.comparisons[row.row], primary, scale(rows, primary))}"
        for table in compared
        if row.row in table.comparisons
    )


def _verdict(comparison: Comparison, primary: Metric, scale_of_scores: float) -> str:
    meaning = f"{comparison.verdict}, {MEANINGS[comparison.verdict]}" if comparison.verdict else ""
    verdict = f"verdict: {meaning}" if meaning else f"no verdict: {comparison.reason}"
    estimate = comparison.estimate
    if estimate is None:
        return f"{verdict}."
    difference = text.signed(estimate.difference, primary.difference_decimals)
    interval = interval_text(estimate, primary, scale_of_scores)
    return f"{text.with_unit(difference, primary.unit)} {primary.label} against base, interval {interval}; {verdict}."


def _seeds_table(row: Summary, results: Results, primary: Metric) -> Grid | None:
    """Return the metrics of each finished seed."""
    if not row.finished:
        return None
    metrics = [results.metric(name) for name in metric_names([row], primary)]
    values = {metric.name: row.by_seed(metric.name) for metric in metrics}
    return Grid(
        name="",  # the folder of a seed has its record
        caption=f"Seeds of {text.printable(row.row)}: mean over the test images.",
        columns=(
            Column("seed", "seed", numeric=False, is_row_header=True),
            *(Column(metric.name, metric.label, metric.unit, hint=metric.meaning) for metric in metrics),
        ),
        lines=tuple(
            (
                plain(text.seed_name(seed)),
                *(
                    Cell(value, text.number(value, metric.decimals))
                    for metric in metrics
                    for value in [values[metric.name].get(seed)]
                ),
            )
            for seed in row.seeds
        ),
    )


def _gates_table(row: Summary) -> Grid | None:
    lines = tuple(
        (
            plain(gate.name),
            plain(f"{gates.SIGNS.get(gate.result, '?')} {gate.result.replace('_', ' ')}"),
            plain(gates.reason(gate)),
        )
        for gate in row.gates
    )
    columns = (
        Column("gate", "limit", numeric=False, is_row_header=True),
        Column("result", "result", numeric=False),
        Column("reason", "measured, and how", numeric=False),
    )
    return Grid("", f"Limits of {text.printable(row.row)}.", columns, lines) if lines else None


def _exports_table(row: Summary) -> Grid | None:
    """Return the files that were exported from the row, with their hashes and what they lose in their runtimes."""
    lines = tuple(
        (
            plain(text.printable(artefact.file)),
            plain(text.seed_name(record.seed)),
            plain(f"{artefact.format}, {artefact.dtype}"),
            Cell(artefact.bytes, text.number(artefact.bytes, 0)),
            plain(artefact.sha256),
            plain("; ".join(map(_check, artefact.checks)) or text.ABSENT),
        )
        for record in row.finished
        for artefact in record.artefacts
    )
    columns = (
        Column("file", "file", numeric=False, is_row_header=True),
        Column("seed", "seed", numeric=False),
        Column("kind", "kind", numeric=False),
        Column("bytes", "bytes"),
        Column("sha256", "SHA-256", numeric=False),
        Column("checks", "in its runtimes", numeric=False),
    )
    return Grid("", f"Files exported from {text.printable(row.row)}.", columns, lines) if lines else None


def _check(check: ArtefactCheck) -> str:
    size = f"{check.image[0]} × {check.image[1]} px"
    loss = f"loses {text.number(check.loss_db, 4)} dB"
    return f"{text.printable(check.runtime)}, {size}: {loss}, {text.significant(check.milliseconds)} ms"


def _costs(row: Summary, peak_memory_bytes: float | None) -> str:
    """Return in one sentence what the row costs."""
    model, seconds = row.model, row.seconds_per_seed
    parts = [
        f"{text.megabytes(model.file_bytes)} MB in {'8 bits' if 'int8' in model.weight_bytes else 'float32'}"
        if model
        else "",
        f"{text.number(model.params, 0)} parameters" if model else "",
        f"{text.giga(model.macs)} GMACs" if model else "",
        f"{text.duration(seconds)} a seed with tests" if seconds is not None else "",
        f"{text.megabytes(peak_memory_bytes)} MB peak memory in training" if peak_memory_bytes is not None else "",
    ]
    shown = list(filter(None, parts))
    return f"Cost: {text.listing(shown)}." if shown else ""


def _loss_figure(row: Summary, results: Results) -> RenderedFigure | None:
    reused: dict[str, bool] = {}
    for stage in (stage for record in row.attempts for stage in record.stages):
        reused[stage.name] = reused.get(stage.name, True) and stage.reused
    headings = [(name, f"{name} (reused)" if is_reused else name) for name, is_reused in reused.items()]
    logged = results.curves_by_row.get(row.row)
    sketch = None if logged is None else loss_curves(logged, headings)
    name = text.printable(row.row)
    return RenderedFigure(
        f"loss_{row.row}",
        f"Reading: a curve that still falls at its end would gain from more steps. Training loss of {name}, stage by "
        "stage. Every stage has its own loss, so every panel has its own scale.",
        f"Loss curves of {name} over the steps of each stage, one line a seed.",
        sketch,
    ) if sketch else None  # fmt: skip
