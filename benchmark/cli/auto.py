"""`auto`: from two folders of pairs to an exported network with a model card, within limits and a budget of time."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.data.check import CheckedPairs, audit_of_folders, run_audit
from benchmark.cli.options import Duration, NumberRange, Selection, command_text
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import BenchmarkError, DataError, missing_packages
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch and pandas are imported only when the command runs
    from benchmark.audit.starter_recipe import Rival
    from benchmark.runner.auto_choice import Limits

_DRAFT_STEPS = 1000
_LEAST_RESERVE_SECONDS, _RESERVE_SHARE = 60, 1.5
"""For tests, report and exports: they take long where checking and choosing did, on a slow or busy machine."""
_TRAINED_SHARE = 0.8
"""Steps are timed without losses, reading and validations."""
_LEAST_SECONDS = 20
_FULL_PROTOCOL_SECONDS = 900
"""Budget from which on networks near the limit are measured by the full protocol, some minutes each, after training."""
_CHECK, _EXPERIMENT, _RUN, _NETWORK, _CARD = "check", "experiment.yaml", "run", "network", "README.md"
_HEADER = """\
Written by `python -m benchmark auto` for {pairs} pairs and a budget of {budget}.
Edit it as you like: `auto` keeps it and runs it as it is, and so does `python -m benchmark run`.
Its steps are those that fit the budget on the machine at hand ({device})."""


@dataclass(frozen=True)
class _Order:
    """What a user asks for; None: no limit, the size of the pairs."""

    limit_ms: float | None
    limit_mb: float | None
    image: tuple[int, int] | None
    runtime: str
    budget: float
    devices: str | None


@click.command("auto")
@click.argument("degraded", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--limit-ms", type=NumberRange(0, min_open=True), help="Most milliseconds of an image on this machine.")
@click.option("--limit-mb", type=NumberRange(0, min_open=True), help="Most megabytes (10^6 bytes) of the weights.")
@click.option(
    "--image",
    nargs=2,
    type=click.IntRange(16, 100_000),
    metavar="H W",
    help="Size of the image that --limit-ms is for.  [default: that of the pairs, of several the middle one]",
)
@click.option(
    "--runtime",
    type=click.Choice(["eager", "channels_last", "onnxruntime", "openvino"]),
    default="eager",
    show_default=True,
    help="How the network runs that --limit-ms is for.",
)
@click.option(
    "--budget", type=Duration(), default="30m", show_default=True, help="Time for everything, e.g. 30m or 8h."
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder.  [default: runs/<name>_auto]")
@click.option("--devices", "--device", "devices", metavar="NAMES", help="As for `run`.  [default: all GPUs, else cpu]")
@click.option("--replace", is_flag=True, help="Write the experiment anew, although there is one.")
@click.pass_context
def command(
    context: click.Context,
    degraded: Path,
    target: Path,
    output: Path | None,
    replace: bool,
    limit_ms: float | None,
    limit_mb: float | None,
    image: tuple[int, int] | None,
    runtime: str,
    budget: float,
    devices: str | None,
) -> int:
    """Make a network from pairs: images in the folder DEGRADED, and how they should be in TARGET, of equal names.

    Checks the pairs, writes an experiment that suits them (patches with spots where spots are rare, networks within the
    limits, steps that fit the budget, a learning rate tuned for each network), runs it, and exports the best network
    under the limits as safetensors and ONNX with a model card. At the end it prints the four commands it stands for.

    The experiment is kept: edit it, and the same command goes on with it. What is finished is never run again.

    \b
    Examples:
      python -m benchmark auto pairs/degraded pairs/target
      python -m benchmark auto pairs/degraded pairs/target --limit-ms 50 --limit-mb 10 --budget 30m
      python -m benchmark auto scans restored --limit-ms 200 --image 1080 1920 --budget 8h --output runs/scans
    """
    started = time.perf_counter()
    order = _Order(limit_ms, limit_mb, image, runtime, budget, devices)
    _training_seconds(budget, spent=0)
    with resumable_interrupts():
        audit = audit_of_folders(degraded, target)
        folder = output or Path("runs") / f"{audit.name}_auto"
        checked = run_audit(audit, folder / _CHECK)
        if checked.splits is None:
            raise DataError(f"{degraded}: too few pairs; at least three different pictures without errors are needed")
        file = folder / _EXPERIMENT
        if file.exists() and not replace:
            click.echo(f"{file}: kept; --replace writes it anew, by the limits and the budget of this command")
        else:
            _write_experiment(file, audit.name, checked, order, started)
        from benchmark.cli.run import command as run

        check = ("data", "check", degraded, target, "--output", folder / _CHECK)
        train = ("run", file, "--output", folder / _RUN, *(["--devices", devices] if devices else []))
        selection = _selection(file, folder, devices, command_text(*train))
        code = context.invoke(run, **asdict(selection), yes=True)
        exports = _ship(context, folder)
        click.echo("the same in single commands, each of which can be changed and repeated:")
        for arguments in (check, train, *exports):
            click.echo(f"  {shlex.join(['python', '-m', 'benchmark', *map(str, arguments)])}")
        click.echo(f"{duration(time.perf_counter() - started)} of {duration(budget)}")
        return code if exports else 1


def _selection(file: Path, folder: Path, devices: str | None, command: str) -> Selection:
    return Selection(
        file=file,
        output=folder / _RUN,
        rows=(),
        seeds=(),
        sets=(),
        devices=devices,
        plugins=(),
        replace=True,  # a file that was edited runs again
        command=command,
    )


def _write_experiment(file: Path, name: str, checked: CheckedPairs, order: _Order, started: float) -> None:
    """Choose networks and effort, and write the experiment.

    Raises:
        BenchmarkError: No network keeps the limits, or the budget is too short.
    """
    click.echo("choosing networks ...", err=True)  # torch takes seconds
    from benchmark.audit.starter_recipe import FEW_STEPS, RIVALS, Effort, head_of, recipe_text, traits_of
    from benchmark.files import write_text
    from benchmark.inference.device_setup import prepare_machine_with
    from benchmark.registry import Registry
    from benchmark.runner.auto_choice import Limits, fitting_effort, measure_rival, within_limits

    assert checked.splits is not None
    traits, machine, registry = traits_of(checked.usable), prepare_machine_with(order.devices), Registry()
    size = None if order.limit_mb is None else round(order.limit_mb * 1e6)
    limits = Limits(order.image or traits.image, order.runtime, order.limit_ms, size)
    click.echo(f"an image of {limits.image[0]} x {limits.image[1]} pixels on {machine.device_name}, {limits.runtime}:")
    measure = partial(measure_rival, head=head_of(traits), limits=limits, machine=machine, registry=registry)
    rivals = within_limits(RIVALS, limits, measure, lambda line: click.echo(f"  {line}"))
    header = _HEADER.format(pairs=len(checked.usable), budget=duration(order.budget), device=machine.device_name)
    gates = _gates(limits, order.budget)
    text = partial(recipe_text, header, name, checked.splits, traits, gates=gates, folder=_CHECK)
    draft = file.with_name(f"draft_{file.name}")
    try:
        write_text(draft, text(Effort(rivals, _DRAFT_STEPS, FEW_STEPS.rates, seeds=1)))
        step_seconds = _step_seconds(_selection(draft, file.parent, order.devices, ""), rivals)
    finally:
        draft.unlink(missing_ok=True)
    seconds = _training_seconds(order.budget, time.perf_counter() - started)
    effort = fitting_effort(step_seconds, seconds)
    write_text(file, text(effort))
    names = ", ".join(rival.name for rival in effort.rivals)
    click.echo(f"{file}: {names}; {effort.steps} steps each, learning rates {', '.join(map(str, effort.rates))}")


def _training_seconds(budget: float, spent: float) -> float:
    """Return how long all trainings together may take. Raises BenchmarkError if that is hardly anything."""
    reserve = max(_LEAST_RESERVE_SECONDS, _RESERVE_SHARE * spent)
    seconds = _TRAINED_SHARE * (budget - spent - reserve)
    if seconds < _LEAST_SECONDS:
        least = duration(spent + reserve + 2 * _LEAST_SECONDS)
        raise BenchmarkError(f"--budget {duration(budget)}: leaves no time for training; give at least {least}")
    return seconds


def _gates(limits: "Limits", budget: float) -> tuple[str, ...]:
    """Return the limits as lines of YAML."""
    protocol = "auto" if budget >= _FULL_PROTOCOL_SECONDS else "quick"
    size = f"size: {{limit_bytes: {limits.weight_bytes}}}" if limits.weight_bytes else ""
    height, width = limits.image
    latency = (
        f"latency: {{limit_ms: {limits.milliseconds:g}, image: [{height}, {width}], runtime: {limits.runtime}, "
        f"protocol: {protocol}}}"
        if limits.milliseconds
        else ""
    )
    return tuple(filter(None, (size, latency)))


def _step_seconds(selection: Selection, rivals: "tuple[Rival, ...]") -> "Mapping[Rival, float]":
    """Return what a step of each network takes, divided by the workers that run side by side.

    Raises:
        BenchmarkError: None can be trained.
    """
    from benchmark.cli.experiment_setup import prepare
    from benchmark.runner.estimates import estimate
    from benchmark.runner.local_executor import worker_devices

    prepared = prepare(selection)
    workers = len(worker_devices(prepared.plan, prepared.context))
    times = estimate(prepared.plan, prepared.context, workers, show_network).seconds
    keys = [row.stages[0].key for row in prepared.plan.rows]
    seconds = {rival: times[key] / _DRAFT_STEPS for rival, key in zip(rivals, keys, strict=True) if key in times}
    if not seconds:
        raise BenchmarkError("no network can be trained here; `python -m benchmark doctor` may say why")
    return seconds


def _ship(context: click.Context, folder: Path) -> list[tuple[object, ...]]:
    """Export the best row under the limits with a model card; return the commands, none if there is no such row."""
    from benchmark.cli.export import command as export
    from benchmark.files import write_text
    from benchmark.inference.onnx import WRITER_PACKAGES
    from reports.pages.model_card import model_card, score_lines, shipped_row
    from reports.results import load, row_folder

    results = load.load(folder / _RUN)
    row = shipped_row(results)
    if row is None:
        click.echo(
            "nothing is exported: no row under the limits beats doing nothing; the report names likely causes; a "
            "larger --budget trains longer, --replace chooses anew"
        )
        return []
    record, network = folder / _RUN / row_folder(row.row, row.seeds[0]), folder / _NETWORK
    commands: list[tuple[object, ...]] = []
    files: list[Path] = []
    formats = {"safetensors": None, "onnx": missing_packages(WRITER_PACKAGES, "onnx")}
    for file_format, missing in formats.items():
        if missing:
            click.echo(f"without ONNX: {missing}")
            continue
        out = network / f"{results.plan.experiment}.{file_format}"
        context.invoke(export, record=record, file_format=file_format, out=out, replace=True)
        files.append(out)
        commands.append(("export", record, "--format", file_format, "--out", out, "--replace"))
    write_text(network / _CARD, model_card(results, row, files))
    click.echo(f"shipped: row {row.row}; model card: {network / _CARD}")
    for line in score_lines(results, row):
        click.echo(f"  {line}")
    return commands
