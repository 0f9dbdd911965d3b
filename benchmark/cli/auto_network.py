"""What `auto` ships: the best row under the limits as files with a model card, as far as the budget goes."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.terminal import duration
from benchmark.errors import missing_packages
from benchmark.interrupts import stopped_when

if TYPE_CHECKING:
    from benchmark.runner.auto_budget import Budget

FULL_PROTOCOL_SECONDS = 900
"""Budget from which on networks near the limit are measured by the full protocol, some minutes each, after training."""
_CARD = "README.md"

Arguments = tuple[object, ...]
"""Of a command, behind `python -m benchmark`."""


def ship(context: click.Context, run: Path, network: Path, budget: "Budget") -> list[Arguments]:
    """Export the best row under the limits with a model card; return the commands, none if there is no such row.

    The ONNX file takes long, with its checks in all runtimes: where the budget ends before, its command is printed.
    """
    from benchmark.cli.export import command as export
    from benchmark.files import write_text
    from benchmark.inference.onnx import WRITER_PACKAGES
    from reports.pages.model_card import model_card, score_lines, shipped_row
    from reports.results import load, row_folder
    from reports.tables.gates import reason

    results = load.load(run)
    row = shipped_row(results)
    if row is None:
        click.echo(
            "nothing is exported: no row under the limits beats doing nothing; the report names likely causes; a "
            "larger --budget trains longer, --replace chooses anew"
        )
        return []
    record = run / row_folder(row.row, row.seeds[0])
    weights, onnx = (network / f"{results.plan.experiment}.{suffix}" for suffix in ("safetensors", "onnx"))
    context.invoke(export, record=record, file_format="safetensors", out=weights, replace=True)
    write_text(network / _CARD, model_card(results, row, [weights]))
    _keep_time(run.parent, budget)
    commands: list[Arguments] = [("export", record, "--format", "safetensors", "--out", weights, "--replace")]
    if missing := missing_packages(WRITER_PACKAGES, "onnx"):
        click.echo(f"without ONNX: {missing}")
    else:
        commands.append(("export", record, "--format", "onnx", "--out", onnx, "--replace"))
        if _onnx_in_time(context, record, onnx, budget):
            write_text(network / _CARD, model_card(results, row, [weights, onnx]))
    click.echo(f"shipped: row {row.row}; model card: {network / _CARD}")
    for line in score_lines(results, row):
        click.echo(f"  {line}")
    for gate in row.gates:
        if gate.result not in ("passed", "failed"):
            click.echo(f"  not known: whether the limit of {gate.name} is kept: {reason(gate)}")
            if gate.unit == "ms" and gate.measured is not None:
                click.echo(f"    on a machine that does nothing else, `python -m benchmark measure {record}` tells")
    return commands


def _keep_time(folder: Path, budget: "Budget") -> None:
    """Keep how long tests, report, weights and card took: since the last training has ended, if one has just now."""
    ended = max((file.stat().st_mtime for file in folder.glob(".stages/*/meta.json")), default=0.0)
    seconds = time.time() - ended
    if seconds < budget.spent and budget.seconds < FULL_PROTOCOL_SECONDS:  # else gates are measured in between
        budget.keep("finish", seconds)


def _onnx_in_time(context: click.Context, record: Path, onnx: Path, budget: "Budget") -> bool:
    """Export the ONNX file where the budget has time for it; return whether it is there."""
    from benchmark.cli.export import command as export

    needed, started = budget.needed("onnx"), time.perf_counter()
    if budget.left >= needed:
        with stopped_when(lambda: budget.left <= 0):
            context.invoke(export, record=record, file_format="onnx", out=onnx, replace=True)
            budget.keep("onnx", time.perf_counter() - started)
            return True
        reason = f"it was stopped after {duration(time.perf_counter() - started)}, when the budget was over"
    else:
        reason = f"it takes about {duration(needed)}, more than was left"
    onnx.unlink(missing_ok=True)
    click.echo(f"without ONNX: {reason}; the last command below writes it")
    return False
