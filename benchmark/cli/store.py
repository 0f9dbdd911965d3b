"""`store`: the trained stages that runs share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import NumberRange
from benchmark.cli.terminal import duration
from benchmark.errors import RecordError, counted

if TYPE_CHECKING:
    from benchmark.runner.store_admin import StoredStage

_folder = click.argument("folder", metavar="[DIR]", default=Path("runs/.stages"), type=click.Path(path_type=Path))


@click.group(
    "store",
    epilog="Start with:  python -m benchmark store list",
)
def command() -> None:
    """List, verify and prune the trained stages that runs share.

    DIR is the store, by default runs/.stages. A stage that is deleted is trained again when a row needs it.
    """


@command.command("list")
@_folder
def list_stages(folder: Path) -> None:
    """One line a stage, oldest first: key, state, name, steps, training time, size, age, whose it is.

    Damaged stages that runs have set aside, in .damaged, come last.
    """
    from benchmark.runner.store_admin import inventory, set_aside

    stages = [*inventory(folder), *set_aside(folder)]
    for stage in stages:
        click.echo(_line(stage))
    click.echo(_total(stages))


@command.command("verify")
@_folder
def verify(folder: Path) -> int:
    """Read all files to the last byte; exit code 1 if any stage is damaged.

    The next run that needs such a stage sets it aside, in .damaged, and trains it again.
    """
    from benchmark.runner.store_admin import damage, inventory

    stages = inventory(folder)
    damaged = [(stage, problem) for stage in stages if (problem := damage(folder, stage))]
    for stage, problem in damaged:
        click.echo(f"damaged: {stage.key}: {problem}")
    finished = [stage for stage in stages if stage.state != "unfinished"]
    sound = len(finished) - sum(stage in finished for stage, _ in damaged)
    click.echo(f"{sound} of {len(finished)} finished stages are sound")
    return int(bool(damaged))


@command.command("prune")
@_folder
@click.option("--older-than", "older_than_days", type=NumberRange(0), metavar="DAYS", help="Unchanged so long.")
@click.option("--unused", is_flag=True, help="Named by no run folder beside the store.")
@click.option("--experiment", metavar="NAME", help="Named by this run folder and by no other.")
@click.option("--down-to", "down_to_mb", type=NumberRange(0), metavar="MB", help="The oldest, until so much is left.")
@click.option("--delete", is_flag=True, help="Delete them; without it they are only shown.")
def prune(folder: Path, down_to_mb: float | None, *, delete: bool, **choice: Any) -> None:
    """Delete stages to make room. Several options narrow the choice; what is being trained is left alone.

    Damaged stages that runs have set aside, in .damaged, belong to no run; they go first.

    \b
    Examples:
      python -m benchmark store prune --unused                          shows what would go
      python -m benchmark store prune --older-than 30 --down-to 2000 --delete
      python -m benchmark store prune --experiment my_first_try --delete
    """
    from benchmark.runner.store_admin import chosen, inventory, remove, set_aside

    if down_to_mb is None and not any(value not in (None, False) for value in choice.values()):
        raise click.UsageError("say what to take: --older-than, --unused, --experiment or --down-to")
    stages = inventory(folder)
    if choice["experiment"] and not any(choice["experiment"] in stage.experiments for stage in stages):
        names = sorted({name for stage in stages for name in stage.experiments})
        raise RecordError(
            f"{folder}: no stage belongs to {choice['experiment']!r}; there are {', '.join(names) or 'none'}"
        )
    down_to_bytes = None if down_to_mb is None else int(down_to_mb * 1e6)
    taken = chosen([*set_aside(folder), *stages], **choice, down_to_bytes=down_to_bytes)
    for stage in taken:
        done = "deleted" if delete and remove(folder, stage) else "left alone, it is being trained"
        click.echo(f"{done if delete else 'would delete'}: {_line(stage)}")
    click.echo(_total(taken) + ("" if delete or not taken else "; nothing is deleted without --delete"))


def _line(stage: "StoredStage") -> str:
    training = f"{counted(stage.steps, 'step')} in {duration(stage.seconds)}" if stage.state == "finished" else "-"
    whose = ", ".join(stage.experiments) or "no run here"
    return (
        f"{stage.key[:8]}  {stage.state:10s}  {stage.name or '-':12s}  {training:28s}  "
        f"{stage.size_bytes / 1e6:9.2f} MB  {stage.age_days:6.1f} days  {whose}"
    )


def _total(stages: "list[StoredStage]") -> str:
    seconds, size = sum(stage.seconds for stage in stages), sum(stage.size_bytes for stage in stages)
    return f"{counted(len(stages), 'stage')}, {size / 1e6:.2f} MB, {duration(seconds)} of training"
