"""What `measure` prints and writes: tables of costs and latencies, gates, and the JSON file."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmark.cli.measure_networks import Cell, Counted, ImageSize, Network
from benchmark.cli.options import command_line
from benchmark.cli.terminal import new_table, show_table
from benchmark.experiment.portable_paths import portable_data
from benchmark.files import write_json
from benchmark.gates.latency import Conditions, Estimate, latency_record
from benchmark.inference.device_setup import Machine
from benchmark.runner.record_writer import provenance
from benchmark.runner.row import describe_gate
from reports.schema import to_json

BEST = "*"
_SCHEMA = 2


def show_costs(counted: Sequence[Counted], images: Sequence[ImageSize]) -> None:
    """Print one table of parameters, multiply-adds and file sizes."""
    macs = [f"GMACs at {height} x {width}" for height, width in images]
    numbers = ("parameters", *macs, "float32 bytes", "float16 bytes")
    table = new_table("network", *numbers, numbers=len(numbers))
    for count in counted:
        cells = ["-"] * len(numbers)
        if count.measured:
            cost, giga = count.measured.cost, [f"{macs / 1e9:.3f}" for macs in count.macs.values()]
            sizes = [f"{cost.weight_bytes[dtype]:,}" for dtype in ("float32", "float16")]
            cells = [f"{cost.params:,}", *giga, *sizes]
        table.add_row(count.network.label, *cells)
    show_table(table)


def show_gates(counted: Sequence[Counted]) -> None:
    """Print the gates of each network, or why it cannot be measured."""
    for count in counted:
        if count.measured is None:
            click.echo(f"{count.network.label}: cannot be measured: {count.error}")
            continue
        gates = [*map(describe_gate, count.measured.gates)] or ["none; --gates FILE takes those of an experiment"]
        click.echo("\n  ".join([f"gates of {count.network.label}:", *gates]))


def show_latencies(
    networks: Sequence[Network], cells: Sequence[Sequence[Cell]], conditions: Sequence[Conditions], machine: Machine
) -> None:
    """Print a table for each image size, then what the numbers are, why cells are empty, and what was unsteady."""
    runtimes = list(dict.fromkeys(condition.runtime for condition in conditions))
    columns = runtimes if len(runtimes) > 1 else ["median", "p90", "p99", "net median", "first call", "runs"]
    for image in dict.fromkeys(condition.image for condition in conditions):
        table = new_table("network", *columns, numbers=len(columns))
        for network, row in zip(networks, cells, strict=True):
            of_image = [cell for cell in row if cell.conditions.image == image]
            table.add_row(network.label, *(_medians(of_image) if len(runtimes) > 1 else _numbers(of_image[0])))
        click.echo(f"\none image of {image[0]} x {image[1]} pixels, ms:")
        show_table(table)
    _explain([cell for row in cells for cell in row], machine)
    for network, row in zip(networks, cells, strict=True):
        for cell in row:
            if cell.skipped:
                click.echo(f"{network.label}: {cell.label}: not measured: {cell.skipped}")
            elif cell.latency and cell.latency.unsteady:
                click.echo(f"{network.label}: {cell.label}: unsteady: {'; '.join(cell.latency.unsteady)}")


def _medians(cells: Sequence[Cell]) -> list[str]:
    """Return the median of each runtime, the fastest marked."""
    medians = [cell.latency.image_ms["median"] if cell.latency else None for cell in cells]
    best = min((median.value for median in medians if median), default=None)
    return [f"{_estimate(median)}{BEST if median.value == best else ' '}" if median else "-" for median in medians]


def _numbers(cell: Cell) -> list[str]:
    latency = cell.latency
    if latency is None:
        return ["-"] * 6
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


def write_measurements(
    file: Path, counted: Sequence[Counted], cells: Iterable[Sequence[Cell]], machine: Machine
) -> None:
    """Write all numbers as JSON. `cells`: the latencies of those networks that could be counted, in their order."""
    remaining = iter(cells)
    data = {
        "schema": _SCHEMA,
        "machine": {**asdict(machine), "device": str(machine.device)},
        "provenance": provenance(machine, command_line()),
        "networks": [_entry(count, next(remaining) if count.measured else (), machine) for count in counted],
    }
    write_json(file, data)


def _entry(count: Counted, cells: Sequence[Cell], machine: Machine) -> dict[str, Any]:
    heading = {"rows": list(count.network.rows), "config": portable_data(count.network.model.as_config(), Path.cwd())}
    if count.measured is None:
        return {**heading, "error": count.error}
    return {
        **heading,
        **to_json(count.measured.cost),
        "gates": [to_json(result) for result in count.measured.gates],
        "macs_of_images": [{"image": list(image), "macs": macs} for image, macs in count.macs.items()],
        "latencies": [
            latency_record(cell.latency, machine)
            if cell.latency
            else {"runtime": cell.conditions.runtime, "image": list(cell.conditions.image), "skipped": cell.skipped}
            for cell in cells
        ],
    }
