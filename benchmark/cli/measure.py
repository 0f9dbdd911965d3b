"""`measure`: cost, latency and gates of networks, without training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from reports.schema import Dtype

if TYPE_CHECKING:  # torch comes in only when the command runs
    from benchmark.cli.latency_runs import Cell
    from benchmark.cli.targets import Network
    from benchmark.inference.device_setup import Machine
    from benchmark.registry import Registry
    from benchmark.runner.events import MeasuredModel

_SCHEMA = 2
EVERY = "all"


@dataclass(frozen=True)
class _Request:
    target: Path | None
    backbones: tuple[str, ...]
    size: str | None
    head: str
    backbone_options: tuple[str, ...]
    head_options: tuple[str, ...]
    gates: Path | None
    rows: tuple[str, ...]
    sets: tuple[str, ...]
    images: tuple[tuple[int, int], ...]
    protocol: str
    runtimes: tuple[str, ...]
    dtype: Dtype
    seconds: float
    unfolded: bool
    threads: int | None
    allocator: str
    device: str | None
    json_file: Path | None
    plugins: tuple[Path, ...]


@dataclass(frozen=True)
class _Counted:
    """`macs`: by image size (height, width)."""

    measured: "MeasuredModel"
    macs: Mapping[tuple[int, int], int]


@click.command("measure")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--backbone", "backbones", multiple=True, metavar="NAME[:SIZE]", help="Measure this backbone, or all.")
@click.option("--size", metavar="NAME", help="A named size, of all that name none of their own.")
@click.option("--head", default="degradation", show_default=True, metavar="NAME", help="The head on the backbone.")
@click.option("--option", "backbone_options", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--head-option", "head_options", multiple=True, metavar="KEY=VALUE", help="An option of the head.")
@click.option("--gates", type=click.Path(path_type=Path), metavar="FILE", help="Judge by the gates of this experiment.")
@click.option("--rows", multiple=True, metavar="PATTERN", help="Only these rows of an experiment, e.g. 'backbones.*'.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of an experiment.")
@click.option(
    "--image",
    "images",
    nargs=2,
    type=click.IntRange(1),
    multiple=True,
    default=[(256, 256)],
    help="Height, width.  [default: 256 256]",
)
@click.option(
    "--protocol",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="quick: this process, seconds; full: five fresh processes, networks in turn.",
)
@click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME", help="How the network is run; all: every way.  [eager]"
)
@click.option("--dtype", type=click.Choice(get_args(Dtype)), default="float32", show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=3.0, show_default=True, help="For a quick latency.")
@click.option("--unfolded", is_flag=True, help="Do not fold norms into convolutions first.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads.  [default: one a core]")
@click.option(
    "--allocator",
    type=click.Choice(["kept", "default"]),
    default="kept",
    show_default=True,
    help="kept: freed memory stays with the process; default: as the system has it.",
)
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cuda if there is one]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all numbers there.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(**options: Any) -> int:
    """Parameters, multiply-adds, file size, latency and gates of networks, without training.

    TARGET is an experiment (all its different networks) or the folder of a trained row, e.g. runs/x/base/seed0.

    \b
    Examples:
      python -m benchmark measure --backbone gunet --size retouch --image 512 512
      python -m benchmark measure --backbone all --size small --runtime all --image 256 256 --image 512 512
      python -m benchmark measure --backbone gunet:t --backbone nafnet:small --protocol full --image 1024 1024
      python -m benchmark measure --backbone nafnet --option width=24 --gates experiments/quickstart.yaml
      python -m benchmark measure experiments/quickstart.yaml --rows 'backbones.*' --json costs.json
      python -m benchmark measure runs/quickstart/base/seed0
    """
    from benchmark.cli.latency_runs import conditions_asked, measure_latencies
    from benchmark.cli.latency_tables import show_latencies
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.registry import Registry

    request = _Request(**options)
    registry = Registry(request.plugins)
    networks = _networks(request, registry)
    machine = prepare_machine(request.device, request.threads, keep_memory=request.allocator == "kept")
    conditions = conditions_asked(request.runtimes, request.images, request.dtype, not request.unfolded, machine)
    counted = [_count(network, request.images, machine, registry, alone=len(networks) == 1) for network in networks]
    sound = [network for network, count in zip(networks, counted, strict=True) if isinstance(count, _Counted)]
    cells = measure_latencies(sound, conditions, request.protocol, request.seconds, machine, registry)
    _show_counted(networks, counted, request.images)
    show_latencies(sound, cells, conditions, machine)
    click.echo("\n".join(_gate_lines(*pair) for pair in zip(networks, counted, strict=True)))
    if request.json_file:
        _write(request.json_file, networks, counted, dict(zip(map(id, sound), cells, strict=True)), machine)
    return 1 if len(sound) < len(networks) else 0


def _networks(request: _Request, registry: "Registry") -> "list[Network]":
    from dataclasses import replace

    from benchmark.cli.targets import gates_of

    if (request.target is None) == (not request.backbones):
        raise click.UsageError("name what to measure: an experiment, the folder of a trained row, or --backbone")
    networks = list(_named(request, registry))
    if request.gates is None:
        return networks
    gates = gates_of(request.gates, registry)
    return [replace(network, gates=gates) for network in networks]


def _named(request: _Request, registry: "Registry") -> "Iterator[Network]":
    from benchmark.cli.targets import described, of_experiment, recorded

    if request.target is not None and request.target.is_dir():
        yield recorded(request.target, registry)
    elif request.target is not None:
        yield from of_experiment(request.target, request.sets, request.rows, registry)
    names = registry.names("backbone") if request.backbones == (EVERY,) else request.backbones
    for text in names:
        name, _, size = text.partition(":")
        backbone = (name, size or request.size, request.backbone_options)
        yield described(backbone, (request.head, request.head_options), registry)


def _count(
    network: "Network",
    images: Sequence[tuple[int, int]],
    machine: "Machine",
    registry: "Registry",
    *,
    alone: bool,
) -> _Counted | str:
    """Costs and gates of a network, or why it cannot be measured; of one asked for alone, what can be mended raises."""
    from benchmark.errors import BenchmarkError
    from benchmark.gates.cost import macs
    from benchmark.runner.jobs import measure_restorer

    click.echo(f"counting {network.label} ...", err=True)
    try:
        restorer = network.make()
        measured = measure_restorer(restorer, network.model, network.gates, machine, registry.plugins)
        return _Counted(measured, {image: macs(restorer, image) for image in images})
    except BenchmarkError as error:
        if alone:
            raise
        return str(error)
    except Exception as error:  # somebody's network: whatever is wrong with it must not hide the others
        return f"{type(error).__name__}: {error}"


def _show_counted(
    networks: "Sequence[Network]", counted: Sequence[_Counted | str], images: Sequence[tuple[int, int]]
) -> None:
    from benchmark.cli.table_output import new_table, show_table

    macs = [f"GMACs at {height} x {width}" for height, width in images]
    numbers = ("parameters", *macs, "float32 bytes", "float16 bytes")
    table = new_table("network", *numbers, numbers=len(numbers))
    for network, count in zip(networks, counted, strict=True):
        table.add_row(network.label, *(_cells(count) if isinstance(count, _Counted) else ["-"] * len(numbers)))
    show_table(table)


def _cells(count: _Counted) -> list[str]:
    model = count.measured.cost
    sizes = [f"{model.weight_bytes[dtype]:,}" for dtype in ("float32", "float16")]
    return [f"{model.params:,}", *(f"{macs / 1e9:.3f}" for macs in count.macs.values()), *sizes]


def _gate_lines(network: "Network", count: _Counted | str) -> str:
    from benchmark.runner.row import describe_gate

    if isinstance(count, str):
        return f"{network.label}: cannot be measured: {count}"
    gates = [describe_gate(gate) for gate in count.measured.gates]
    none = ["none; --gates FILE judges by those of an experiment"]
    return "\n  ".join([f"gates of {network.label}:", *(gates or none)])


def _write(
    file: Path,
    networks: "Sequence[Network]",
    counted: Sequence[_Counted | str],
    cells: "Mapping[int, Sequence[Cell]]",
    machine: "Machine",
) -> None:
    from benchmark.cli.options import command_line
    from benchmark.files import write_json
    from benchmark.runner.provenance import provenance

    device = {**asdict(machine), "device": str(machine.device)}
    origin = provenance(machine, command_line())
    entries = [_entry(network, count, cells) for network, count in zip(networks, counted, strict=True)]
    write_json(file, {"schema": _SCHEMA, "machine": device, "provenance": origin, "networks": entries})


def _entry(network: "Network", count: _Counted | str, cells: "Mapping[int, Sequence[Cell]]") -> Mapping[str, Any]:
    from reports.schema import to_json

    heading = {"rows": list(network.rows), "config": network.model.as_config()}
    if isinstance(count, str):
        return {**heading, "error": count}
    by_image = [{"image": list(image), "macs": macs} for image, macs in count.macs.items()]
    gates = [to_json(result) for result in count.measured.gates]
    latencies = [cell.as_json() for cell in cells[id(network)]]
    return {
        **heading,
        **to_json(count.measured.cost),
        "gates": gates,
        "macs_of_images": by_image,
        "latencies": latencies,
    }
