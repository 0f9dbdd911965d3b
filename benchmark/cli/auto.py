"""`auto`: from two folders of pairs to an exported network with a model card, within limits and a budget of time."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.auto_network import FULL_PROTOCOL_SECONDS, ship
from benchmark.cli.data.check import CheckedPairs, audit_of_folders, run_audit
from benchmark.cli.options import Duration, NumberRange, Selection, command_text
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import BenchmarkError, DataError, counted
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch and pandas are imported only when the command runs
    from benchmark.audit.starter_recipe import Rival
    from benchmark.cli.auto_training import WrittenExperiment
    from benchmark.runner.auto_budget import Budget
    from benchmark.runner.auto_choice import Limits

_DRAFT_STEPS = 1000
_CHOOSING_SHARE, _TIMING_SHARE = 0.15, 0.25
"""Of the budget, after which no further network is tried, and none is timed."""
_MOST_TIMED = 4
"""Networks whose steps are timed: no effort has more."""
_TRAINED_SHARE = 0.8
"""Steps are timed without losses, reading and validations."""
_LEAST_SECONDS = 20
_LEAST_BUDGET_SECONDS = 60
_BUSY = 1.5
"""Times as long as on an idle machine, from which on it is said."""
_LEAST_PAIRS, _TOO_FEW = 3, "at least three different pictures without errors are needed"
_CHECK, _EXPERIMENT, _RUN, _NETWORK = "check", "experiment.yaml", "run", "network"
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
    from benchmark.cli.auto_training import run_within
    from benchmark.runner.auto_budget import Budget

    clock, order = Budget(budget), _Order(limit_ms, limit_mb, image, runtime, budget, devices)
    if budget < _LEAST_BUDGET_SECONDS:
        raise BenchmarkError(
            f"--budget {duration(budget)}: leaves no time for training; give at least {duration(_LEAST_BUDGET_SECONDS)}"
        )
    with resumable_interrupts():
        audit = audit_of_folders(degraded, target)
        folder = output or Path("runs") / f"{audit.name}_auto"
        if audit.count < _LEAST_PAIRS:  # else the page on the pairs says more
            raise DataError(f"{degraded}: {counted(audit.count, 'pair')}; {_TOO_FEW}")
        checked = run_audit(audit, folder / _CHECK)
        if checked.splits is None:
            raise DataError(f"{degraded}: too few pairs; {_TOO_FEW}; see {checked.page}")
        if all(math.isinf(pair.degradation.psnr_db) for pair in checked.usable):
            raise DataError(f"{degraded}: every image equals its partner in {target}: there is nothing to learn")
        file = folder / _EXPERIMENT
        written = None
        if file.exists() and not replace:
            click.echo(f"{file}: kept; --replace writes it anew, by the limits and the budget of this command")
        else:
            written = _write_experiment(file, audit.name, checked, order, clock)
        check = ("data", "check", degraded, target, "--output", folder / _CHECK)
        train = ("run", file, "--output", folder / _RUN, *(["--devices", devices] if devices else []))
        code = run_within(context, _selection(file, folder, devices, command_text(*train)), written, clock)
        exports = [] if code is None else ship(context, folder / _RUN, folder / _NETWORK, clock)
        click.echo("the same in single commands, each of which can be changed and repeated:")
        for arguments in (check, train, *exports):
            click.echo(f"  {shlex.join(['python', '-m', 'benchmark', *map(str, arguments)])}")
        click.echo(f"{duration(clock.spent)} of {duration(budget)}")
        return code if code is not None and exports else 1


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


def _write_experiment(
    file: Path, name: str, checked: CheckedPairs, order: _Order, clock: "Budget"
) -> "WrittenExperiment":
    """Choose networks and effort, and write the experiment.

    Raises:
        BenchmarkError: No network keeps the limits, or the budget is too short.
    """
    click.echo("choosing networks ...", err=True)  # torch takes seconds
    from benchmark.audit.starter_recipe import FEW_STEPS, RIVALS, Effort, head_of, recipe_text, traits_of
    from benchmark.cli.auto_training import WrittenExperiment
    from benchmark.files import write_text
    from benchmark.inference.device_setup import prepare_machine_with
    from benchmark.registry import Registry
    from benchmark.runner.auto_choice import Limits, fitting_effort, measure_rival, within_limits

    assert checked.splits is not None
    _training_seconds(clock)
    traits, machine, registry = traits_of(checked.usable), prepare_machine_with(order.devices), Registry()
    size = None if order.limit_mb is None else round(order.limit_mb * 1e6)
    limits = Limits(order.image or traits.image, order.runtime, order.limit_ms, size)
    click.echo(f"an image of {limits.image[0]} x {limits.image[1]} pixels on {machine.device_name}, {limits.runtime}:")
    measure = partial(measure_rival, head=head_of(traits), limits=limits, machine=machine, registry=registry)
    note, is_late = lambda line: click.echo(f"  {line}"), lambda: clock.spent > _CHOOSING_SHARE * order.budget
    rivals = within_limits(RIVALS, limits, measure, note, is_late)[:_MOST_TIMED]
    header = _HEADER.format(pairs=len(checked.usable), budget=duration(order.budget), device=machine.device_name)
    gates = _gates(limits, order.budget)
    text = partial(recipe_text, header, name, checked.splits, traits, gates=gates, folder=_CHECK)
    draft = file.with_name(f"draft_{file.name}")
    try:
        write_text(draft, text(Effort(rivals, _DRAFT_STEPS, FEW_STEPS.rates, seeds=1)))
        step_seconds = _step_seconds(_selection(draft, file.parent, order.devices, ""), rivals, clock)
    finally:
        draft.unlink(missing_ok=True)
    seconds = _training_seconds(clock)
    effort = fitting_effort(step_seconds, _TRAINED_SHARE * seconds)
    write_text(file, text(effort))
    names = ", ".join(rival.name for rival in effort.rivals)
    click.echo(f"{file}: {names}; {effort.steps} steps each, learning rates {', '.join(map(str, effort.rates))}")
    if clock.slowness > _BUSY:
        click.echo(
            f"the machine is busy: everything takes {clock.slowness:.1f} times as long as this process alone would; "
            f"{duration(seconds)} of the budget are for training"
        )
    return WrittenExperiment(effort, text)


def _training_seconds(clock: "Budget") -> float:
    """Return how long all trainings together may take. Raises BenchmarkError if that is hardly anything."""
    seconds = clock.for_training
    if seconds < _LEAST_SECONDS:
        busy = (
            f" on a machine as busy as this one ({clock.slowness:.0f} times slower)" if clock.slowness > _BUSY else ""
        )
        least = duration(clock.seconds - seconds + 2 * _LEAST_SECONDS)
        raise BenchmarkError(
            f"--budget {duration(clock.seconds)}: leaves no time for training{busy}; give at least {least}"
        )
    return seconds


def _gates(limits: "Limits", budget: float) -> tuple[str, ...]:
    """Return the limits as lines of YAML."""
    protocol = "auto" if budget >= FULL_PROTOCOL_SECONDS else "quick"
    size = f"size: {{limit_bytes: {limits.weight_bytes}}}" if limits.weight_bytes else ""
    height, width = limits.image
    latency = (
        f"latency: {{limit_ms: {limits.milliseconds:g}, image: [{height}, {width}], runtime: {limits.runtime}, "
        f"protocol: {protocol}}}"
        if limits.milliseconds
        else ""
    )
    return tuple(filter(None, (size, latency)))


def _step_seconds(selection: Selection, rivals: "tuple[Rival, ...]", clock: "Budget") -> "Mapping[Rival, float]":
    """Return what a step of each network takes, divided by the workers that run side by side.

    No further network is timed once the time for training is too short for one more. On a busy machine workers
    share the time of one.

    Raises:
        BenchmarkError: None can be trained.
    """
    from benchmark.cli.experiment_setup import prepare
    from benchmark.runner.auto_choice import fitting_effort
    from benchmark.runner.estimates import estimate
    from benchmark.runner.local_executor import worker_devices

    prepared = prepare(selection)
    workers = len(worker_devices(prepared.plan, prepared.context))
    seconds: dict[Rival, float] = {}
    for row, rival in zip(prepared.plan.rows, rivals, strict=True):
        show_network(len(seconds) + 1, len(rivals))
        times = estimate(replace(prepared.plan, rows=(row,)), prepared.context)
        if times.total:
            seconds[rival] = times.total / _DRAFT_STEPS / (1 if times.busy else workers)
            fitting = fitting_effort(seconds, _TRAINED_SHARE * clock.for_training).rivals
            if len(fitting) < len(seconds) or clock.spent > _TIMING_SHARE * clock.seconds:
                break
    if not seconds:
        raise BenchmarkError("no network can be trained here; `python -m benchmark doctor` may say why")
    return seconds
