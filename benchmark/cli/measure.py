"""`measure`: cost, latency and gates of networks, without training."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # torch comes in only when the command runs
    from benchmark.cli.networks import Network
    from benchmark.execution.machine import Machine
    from benchmark.execution.rows import Measured
    from benchmark.gates.latency import Latency

_SCHEMA = 1


@dataclass(frozen=True)
class _Request:
    target: Path | None
    backbone: str | None
    size: str | None
    head: str
    backbone_options: tuple[str, ...]
    head_options: tuple[str, ...]
    gates: Path | None
    rows: tuple[str, ...]
    sets: tuple[str, ...]
    image: tuple[int, int]
    device: str | None
    json_file: Path | None
    plugins: tuple[Path, ...]


@dataclass(frozen=True)
class _Result:
    """`macs` and `latency` are for one image of the size asked for."""

    measured: "Measured"
    macs: int
    latency: "Latency"


@click.command("measure")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--backbone", metavar="NAME", help="Measure this backbone instead of a TARGET.")
@click.option("--size", metavar="NAME", help="A named size of the backbone.")
@click.option("--head", default="degradation", show_default=True, metavar="NAME", help="The head on the backbone.")
@click.option("--option", "backbone_options", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--head-option", "head_options", multiple=True, metavar="KEY=VALUE", help="An option of the head.")
@click.option("--gates", type=click.Path(path_type=Path), metavar="FILE", help="Judge by the gates of this experiment.")
@click.option("--rows", multiple=True, metavar="PATTERN", help="Only these rows of an experiment, e.g. 'backbones.*'.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of an experiment.")
@click.option("--image", nargs=2, type=click.IntRange(1), default=(256, 256), show_default=True, help="Height, width.")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cuda if there is one]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all numbers there.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(**options: Any) -> int:
    """Parameters, multiply-adds, file size, quick latency and gates of networks, without training.

    TARGET is an experiment (all its different networks) or the folder of a trained row, e.g. runs/x/base/seed0.

    \b
    Examples:
      python -m benchmark measure --backbone gunet --size retouch --image 512 512
      python -m benchmark measure --backbone nafnet --option width=24 --gates experiments/quickstart.yaml
      python -m benchmark measure experiments/quickstart.yaml --rows 'backbones.*' --json costs.json
      python -m benchmark measure runs/quickstart/base/seed0
    """
    from benchmark.execution.machine import prepare_machine

    request = _Request(**options)
    networks = _networks(request)
    machine = prepare_machine(request.device)
    results = [_measure(network, request.image, machine, alone=len(networks) == 1) for network in networks]
    _show(networks, results, request.image, machine)
    if request.json_file:
        _write(request.json_file, networks, results, request.image, machine)
    return 1 if any(isinstance(result, str) for result in results) else 0


def _networks(request: _Request) -> "list[Network]":
    from dataclasses import replace

    from benchmark.cli.networks import described, gates_of, of_experiment, recorded
    from benchmark.registry import Registry

    if (request.target is None) == (request.backbone is None):
        raise click.UsageError("name what to measure: an experiment, the folder of a trained row, or --backbone")
    registry = Registry(request.plugins)
    if request.backbone is not None:
        backbone = (request.backbone, request.size, request.backbone_options)
        networks = [described(backbone, (request.head, request.head_options), registry)]
    elif request.target is not None and request.target.is_dir():
        networks = [recorded(request.target, registry)]
    else:
        networks = list(of_experiment(Path(str(request.target)), request.sets, request.rows, registry))
    if request.gates is None:
        return networks
    gates = gates_of(request.gates, registry)
    return [replace(network, config={**network.config, "gates": gates}) for network in networks]


def _measure(network: "Network", image: tuple[int, int], machine: "Machine", *, alone: bool) -> _Result | str:
    """All numbers of a network, or why it cannot be measured; of one asked for alone, what the user can mend raises."""
    from benchmark.errors import BenchmarkError
    from benchmark.execution.rows import measure_restorer
    from benchmark.gates.cost import macs
    from benchmark.gates.latency import quick_latency

    click.echo(f"measuring {network.label} ...", err=True)
    try:
        restorer = network.make()
        measured = measure_restorer(restorer, network.config, machine)
        return _Result(measured, macs(restorer, image), quick_latency(restorer, image, machine.device))
    except BenchmarkError as error:
        if alone:
            raise
        return str(error)
    except Exception as error:  # somebody's network: whatever is wrong with it must not hide the others
        return f"{type(error).__name__}: {error}"


def _show(
    networks: "Sequence[Network]", results: Sequence[_Result | str], image: tuple[int, int], machine: "Machine"
) -> None:
    from benchmark.cli.tables import new_table, show_table

    numbers = ("parameters", "GMACs", "float32 bytes", "float16 bytes", "median ms", "p90 ms", "net ms")
    table = new_table("network", *numbers, numbers=len(numbers))
    for network, result in zip(networks, results, strict=True):
        table.add_row(network.label, *(_cells(result) if isinstance(result, _Result) else ["-"] * len(numbers)))
    show_table(table)
    click.echo(
        f"one image of {image[0]} x {image[1]} pixels; latencies by the quick protocol on {machine.device_name}, "
        f"{machine.threads} threads, allocator {machine.allocator}: 8-bit image to 8-bit image, and the net alone"
    )
    for network, result in zip(networks, results, strict=True):
        click.echo(_gate_lines(network.label, result))


def _gate_lines(label: str, result: _Result | str) -> str:
    from benchmark.execution.rows import describe

    if isinstance(result, str):
        return f"{label}: cannot be measured: {result}"
    gates = [describe(verdict) for verdict in result.measured.gates]
    return "\n  ".join([f"gates of {label}:", *(gates or ["none; --gates FILE judges by those of an experiment"])])


def _cells(result: _Result) -> list[str]:
    model, latency = result.measured.model, result.latency
    sizes = [f"{model['weight_bytes'][dtype]:,}" for dtype in ("float32", "float16")]
    times = [f"{value:.1f}" for value in (latency.median_ms, latency.p90_ms, latency.net_median_ms)]
    return [f"{model['params']:,}", f"{result.macs / 1e9:.3f}", *sizes, *times]


def _write(
    file: Path,
    networks: "Sequence[Network]",
    results: Sequence[_Result | str],
    image: tuple[int, int],
    machine: "Machine",
) -> None:
    from benchmark.files import write_json

    device = {**asdict(machine), "device": str(machine.device)}
    entries = [_entry(network, result) for network, result in zip(networks, results, strict=True)]
    write_json(file, {"schema": _SCHEMA, "image": list(image), "machine": device, "networks": entries})


def _entry(network: "Network", result: _Result | str) -> Mapping[str, Any]:
    about = {"rows": list(network.rows), "config": network.config["model"]}
    if isinstance(result, str):
        return {**about, "error": result}
    measured = {**result.measured.model, "gates": [asdict(verdict) for verdict in result.measured.gates]}
    return {**about, **measured, "macs_of_image": result.macs, "latency": asdict(result.latency)}
