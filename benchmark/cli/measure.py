"""`measure`: cost, latency and gates of networks, without training."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import NumberRange, plugin_option

if TYPE_CHECKING:  # torch is imported only when the command runs
    from reports.schema import Dtype


@click.command("measure")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--backbone", "backbones", multiple=True, metavar="NAME[:SIZE]", help="Measure this backbone, or all.")
@click.option("--size", metavar="NAME", help="A named size, of all that name none of their own.")
@click.option("--head", default="degradation", show_default=True, metavar="NAME", help="The head on the backbone.")
@click.option("--option", "backbone_options", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--head-option", "head_options", multiple=True, metavar="KEY=VALUE", help="An option of the head.")
@click.option(
    "--gates",
    "gates_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Judge by the gates of this experiment.",
)
@click.option("--rows", multiple=True, metavar="PATTERN", help="Only these rows of an experiment, e.g. 'backbones.*'.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of an experiment.")
@click.option(
    "--image",
    "images",
    nargs=2,
    type=click.IntRange(1, 100_000),
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
    "--runtime",
    "runtimes",
    multiple=True,
    metavar="NAME",
    help="How the network is run; all: every way (cuda_graph and tensorrt: not tried on a GPU yet).  [eager]",
)
@click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32", show_default=True)
@click.option("--seconds", type=NumberRange(0.1, 86_400), default=3.0, show_default=True, help="For a quick latency.")
@click.option("--unfolded", is_flag=True, help="Do not fold norms into convolutions first.")
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="CPU threads.  [default: one a core]")
@click.option(
    "--allocator",
    type=click.Choice(["kept", "default"]),
    default="kept",
    show_default=True,
    help="kept: freed memory stays with the process; default: as the system has it.",
)
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cuda if there is one]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all numbers there.")
@plugin_option
def command(
    target: Path | None,
    backbones: tuple[str, ...],
    size: str | None,
    head: str,
    backbone_options: tuple[str, ...],
    head_options: tuple[str, ...],
    gates_file: Path | None,
    rows: tuple[str, ...],
    sets: tuple[str, ...],
    images: tuple[tuple[int, int], ...],
    protocol: str,
    runtimes: tuple[str, ...],
    dtype: "Dtype",
    seconds: float,
    unfolded: bool,
    threads: int | None,
    allocator: str,
    device: str | None,
    json_file: Path | None,
    plugins: tuple[Path, ...],
) -> int:
    """Measure parameters, multiply-adds, file size, latency and gates of networks, without training.

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
    from benchmark.cli.measure_networks import (
        conditions_asked,
        count,
        described,
        measure_latencies,
        of_experiment,
        recorded,
    )
    from benchmark.cli.measure_output import show_costs, show_gates, show_latencies, write_measurements
    from benchmark.experiment.load import load
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.registry import Registry

    if (target is None) == (not backbones):
        raise click.UsageError("name what to measure: an experiment, the folder of a trained row, or --backbone")
    registry = Registry(plugins)
    if target is None:
        names = registry.names("backbone") if backbones == ("all",) else backbones
        parts = [name.partition(":") for name in names]
        networks = [
            described(name, own_size or size, backbone_options, head, head_options, registry)
            for name, _, own_size in parts
        ]
    elif target.is_dir():
        networks = [recorded(target, registry)]
    else:
        networks = of_experiment(target, sets, rows, registry)
    if gates_file:
        gates = load(gates_file, registry).rows[0].recipe.gates
        networks = [replace(network, gates=gates) for network in networks]

    machine = prepare_machine(device, threads, keep_memory=allocator == "kept")
    conditions = conditions_asked(runtimes, images, dtype, not unfolded, machine)
    counted = [count(network, images, machine, registry, is_only=len(networks) == 1) for network in networks]
    sound = [count.network for count in counted if count.measured]
    cells = measure_latencies(sound, conditions, protocol, seconds, machine, registry)
    show_costs(counted, images)
    show_latencies(sound, cells, conditions, machine)
    show_gates(counted)
    if json_file:
        write_measurements(json_file, counted, cells, machine)
    return 1 if len(sound) < len(networks) else 0
