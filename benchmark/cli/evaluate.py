"""`evaluate`: a trained row, or a folder of restored images, on any test set, without an experiment file."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import command_line, plugin_option
from benchmark.cli.terminal import new_table, show_table
from benchmark.errors import counted

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.evaluation.network_scores import Interval
    from benchmark.runner.evaluated_run import Evaluation


@click.command("evaluate")
@click.argument("record", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help="The test set for RECORD, e.g. 'synthetic_faces: {preset: severe}'.")
@click.option("--train", metavar="SOURCE", help="Pairs that the baseline affine is fitted to.  [default: without it]")
@click.option("--restored", type=click.Path(path_type=Path), metavar="FOLDER", help="Restored images, of any program.")
@click.option("--target", type=click.Path(path_type=Path), metavar="FOLDER", help="True images of equal names.")
@click.option(
    "--degraded", type=click.Path(path_type=Path), metavar="FOLDER", help="Degraded images: baselines, all metrics."
)
@click.option(
    "--convention",
    "conventions",
    multiple=True,
    metavar="NAME",
    help="rgb, y_channel, 'border: 4': further PSNR and SSIM.  [default: rgb]",
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="A further metric; may be given several times."
)
@click.option("--name", default="evaluation", show_default=True, help="Name of the run.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Of the run.  [default: runs/<name>]")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cuda if there is one]")
@plugin_option
def command(
    record: Path | None,
    data: str | None,
    train: str | None,
    restored: Path | None,
    target: Path | None,
    degraded: Path | None,
    conventions: tuple[str, ...],
    metrics: tuple[str, ...],
    name: str,
    output: Path | None,
    device: str | None,
    plugins: tuple[Path, ...],
) -> None:
    """Score the trained row in the folder RECORD on --data, or restored images against those of --target.

    Means stand with 95 % intervals over images (cut to what a metric can be), beside the baselines identity and closing
    (affine with --train), and with the paired difference to identity, which does nothing. The result is written as a
    run: `compare` and `leaderboard` put it beside others that were tested on the same images. PSNR and SSIM are of RGB,
    rounded to 8 bits, without a border; --convention adds those of papers, under names that say so.

    \b
    Examples:
      python -m benchmark evaluate runs/quickstart/base --data 'synthetic_faces: {preset: severe, count: 20}'
      python -m benchmark evaluate --restored theirs --target clean --degraded noisy --name theirs
      python -m benchmark evaluate --restored theirs --target clean --convention y_channel --convention 'border: 4'
    """
    if (record is None) == (restored is None):
        raise click.UsageError("give RECORD with --data, or --restored with --target")
    if (record is not None and (data is None or target or degraded)) or (restored is not None and (data or train)):
        raise click.UsageError("--data and --train belong to RECORD, --target and --degraded to --restored")
    from reports.schema import RUN_NAME_PATTERN

    if not re.fullmatch(RUN_NAME_PATTERN, name):
        raise click.UsageError(f"--name {name!r}: expected letters, digits, -, _ and ., a letter or digit first")
    folder = output or Path("runs") / name
    if (folder / "plan.json").exists():
        raise click.UsageError(f"{folder} holds a run already; choose another --name or --output")
    from benchmark.inference.network import load
    from benchmark.runner.evaluated_run import evaluate, evaluate_folder

    if restored is not None:
        if target is None:
            raise click.UsageError("--restored needs --target, the folder of true images")
        result = evaluate_folder(
            restored, target, degraded, name=name, conventions=conventions, metrics=metrics, plugins=plugins
        )
    else:
        network = load(str(record), device, plugins)
        result = evaluate(
            network,
            str(data),
            name=name,
            train=train,
            conventions=conventions,
            metrics=metrics,
            device=str(network.device),
            plugins=plugins,
        )
    result.write(folder, command_line())
    _show(result)
    click.echo(f"run: {folder}; put it beside others: python -m benchmark compare {folder} runs/OTHER")


def _show(result: "Evaluation") -> None:
    """Print a line for each metric: on how many images it is defined, and the mean of each row with its interval."""
    from reports.metrics import IMAGE_METRICS

    count = len(result.scores["base"])
    click.echo(f"{counted(count, 'image')}; means with 95 % intervals over images; every image is in scores.csv")
    unscored: list[str] = []
    table = new_table("metric", "unit", "images", *result.intervals, numbers=1 + len(result.intervals))
    for name, metric in result.metrics.items():
        cells = [row.get(name) for row in result.intervals.values()]
        if any(cells):
            decimals = IMAGE_METRICS[name].decimals if name in IMAGE_METRICS else metric.decimals
            images = sum(name in image.metrics for image in result.scores["base"])
            table.add_row(name, metric.unit, str(images), *(_text(cell, decimals) for cell in cells))
        else:
            least = f" (from {metric.min_side} px a side)" if metric.min_side > 1 else ""
            unscored.append(f"{name}{least}")
    show_table(table)
    if unscored:
        click.echo(f"note: no image has a value of {', '.join(unscored)}", err=True)


def _text(interval: "Interval | None", decimals: int) -> str:
    if interval is None:
        return "–"
    ends = "" if interval.low is None else f" [{interval.low:.{decimals}f}, {interval.high:.{decimals}f}]"
    return f"{interval.mean:.{decimals}f}{ends}"
