"""Latencies in a terminal: by runtime where several were asked for, in depth where it is one."""

from collections.abc import Sequence

import click

from benchmark.cli.latency_runs import Cell
from benchmark.cli.table_output import new_table, show_table
from benchmark.cli.targets import Network
from benchmark.gates.latency import Conditions, Estimate
from benchmark.inference.device_setup import Machine

BEST = "*"


def show_latencies(
    networks: Sequence[Network], cells: Sequence[Sequence[Cell]], conditions: Sequence[Conditions], machine: Machine
) -> None:
    """One table for each image size, then what the numbers are, why cells are empty, and what was unsteady."""
    runtimes = list(dict.fromkeys(condition.runtime for condition in conditions))
    for image in dict.fromkeys(condition.image for condition in conditions):
        of_image = [[cell for cell in row if cell.conditions.image == image] for row in cells]
        click.echo(f"\none image of {image[0]} x {image[1]} pixels, ms:")
        if len(runtimes) > 1:
            _by_runtime(networks, of_image, runtimes)
        else:
            _in_depth(networks, [row[0] for row in of_image])
    _explain([cell for row in cells for cell in row], machine)
    for line in _remarks(networks, cells):
        click.echo(line)


def _by_runtime(networks: Sequence[Network], cells: Sequence[Sequence[Cell]], runtimes: Sequence[str]) -> None:
    table = new_table("network", *runtimes, numbers=len(runtimes))
    for network, row in zip(networks, cells, strict=True):
        medians = [cell.latency.median_ms for cell in row if cell.latency]
        best = min(medians, default=None)
        table.add_row(network.label, *(_median(cell, best) for cell in row))
    show_table(table)


def _median(cell: Cell, best: float | None) -> str:
    if cell.latency is None:
        return "-"
    median = cell.latency.image_ms["median"]
    return f"{_estimate(median)}{BEST if median.value == best else ' '}"


def _in_depth(networks: Sequence[Network], cells: Sequence[Cell]) -> None:
    numbers = ("median", "p90", "p99", "net median", "first call", "runs")
    table = new_table("network", *numbers, numbers=len(numbers))
    for network, cell in zip(networks, cells, strict=True):
        table.add_row(network.label, *(_numbers(cell) if cell.latency else ["-"] * len(numbers)))
    show_table(table)


def _numbers(cell: Cell) -> list[str]:
    latency = cell.latency
    assert latency is not None
    whole = [_estimate(latency.image_ms[name]) for name in ("median", "p90", "p99")]
    first = f"{latency.cold_start_ms:.1f}" if latency.cold_start_ms else "-"
    return [*whole, _estimate(latency.network_ms["median"]), first, f"{latency.runs:,}"]


def _estimate(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.1f}"
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def _explain(cells: Sequence[Cell], machine: Machine) -> None:
    measured = [cell.latency for cell in cells if cell.latency]
    if not measured:
        return
    protocol, threads = measured[0].protocol, machine.threads
    marked = f"; {BEST} the fastest" if len({latency.conditions.runtime for latency in measured}) > 1 else ""
    click.echo(
        f"\nby the {protocol} protocol on {machine.device_name}, {threads} thread{'s' * (threads > 1)}, allocator "
        f"{machine.allocator}, {'folded' if measured[0].conditions.folded else 'not folded'}: 8-bit image to 8-bit "
        f"image (net: the network alone){marked}" + ("; [95 % interval over processes]" if protocol == "full" else "")
    )


def _remarks(networks: Sequence[Network], cells: Sequence[Sequence[Cell]]) -> list[str]:
    """Why cells are empty, and doubts; each thing once."""
    lines: list[str] = []
    for network, row in zip(networks, cells, strict=True):
        for cell in row:
            where = f"{cell.conditions.runtime}, {cell.conditions.image[0]} x {cell.conditions.image[1]}"
            if cell.skipped:
                lines.append(f"{network.label}: {where}: not measured: {cell.skipped}")
            elif cell.latency and cell.latency.unsteady:
                lines.append(f"{network.label}: {where}: unsteady: {'; '.join(cell.latency.unsteady)}")
    return lines
