"""`restore`: a trained network over images: files, folders, patterns or standard input."""

from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import NumberRange, plugin_option
from benchmark.errors import counted, printable
from benchmark.interrupts import noted_as_resumable

if TYPE_CHECKING:  # numpy and torch are imported only when the command runs
    from benchmark.inference.restore_images import ImageOutcome
    from benchmark.inference.restore_network import NetworkUse
    from benchmark.inference.restore_tasks import RestoreTask, TaskList
    from benchmark.inference.restore_workers import RestoreWorkers
    from reports.schema import Dtype

Say = Callable[[str], None]
"""Prints a line: on standard error where standard output is for the image."""
_RUNTIMES = ("eager", "channels_last", "compiled", "cuda_graph", "onnxruntime", "openvino", "tensorrt")


@click.command("restore")
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.argument("out", type=click.Path(allow_dash=True))
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["png", "jpeg", "webp", "tiff"]),
    help="Format of the results.  [default: that of each image]",
)
@click.option(
    "--strength", type=NumberRange(0, 1), default=1.0, show_default=True, help="0: the image as it is, 1: restored."
)
@click.option("--ensemble", is_flag=True, help="Average over the eight orientations: eight times the work.")
@click.option(
    "--maps", type=click.Path(path_type=Path), metavar="FOLDER", help="Also write the maps that the head predicts."
)
@click.option(
    "--compare", type=click.Path(path_type=Path), metavar="FOLDER", help="Also write the image beside the restored one."
)
@click.option(
    "--tile",
    type=click.IntRange(1, 100_000),
    metavar="PIXELS",
    help="Restore in square tiles, for less memory.  [default: 1024 for images above 3 million pixels]",
)
@click.option("--whole", is_flag=True, help="Never restore in tiles.")
@click.option("--overlap", type=click.IntRange(min=0), default=32, show_default=True, help="Of tiles, in pixels.")
@click.option(
    "--runtime", type=click.Choice(_RUNTIMES), default="eager", show_default=True, help="How the network runs."
)
@click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32", show_default=True)
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cuda if there is one]")
@click.option("--replace", is_flag=True, help="Restore again what is there already.")
@plugin_option
def command(
    record: Path,
    images: tuple[str, ...],
    out: str,
    suffix: str | None,
    strength: float,
    ensemble: bool,
    maps: Path | None,
    compare: Path | None,
    tile: int | None,
    whole: bool,
    overlap: int,
    runtime: str,
    dtype: "Dtype",
    device: str | None,
    replace: bool,
    plugins: tuple[Path, ...],
) -> int:
    """Restore IMAGES with a trained row, and write results of the same names and formats to the folder OUT.

    RECORD is the folder of the trained row or of one of its seeds, or the safetensors file of `export`. IMAGES are
    files, folders with their sub-folders, or patterns in quotes. For one file, OUT may be a file; - stands for standard
    input or output. Every file is named as restored, skipped or failed. Results that exist are skipped: the same
    command continues an interrupted one, and pictures of --maps and --compare that are missing are added.

    A result keeps what its file had: EXIF data, colour profile, alpha, 16 bits (PNG, TIFF), the tables and subsampling
    of JPEG, the frames of GIF, WebP, PNG and TIFF, grey. What cannot be kept is said. Colours are converted to sRGB for
    the network, and its changes back.

    Runtimes other than eager and channels_last prepare the network for each size of image, which takes up to a minute:
    with --tile there is one size for all larger images. cuda_graph and tensorrt are not tried on a GPU yet. Tiles give
    the same image as a whole where the network looks at most a quarter of a tile far; else a note says by how much
    they differ.

    \b
    Examples:
      python -m benchmark restore runs/quickstart/base portraits restored
      python -m benchmark restore runs/quickstart/base photo.jpg better.jpg --strength 0.7 --compare side_by_side
      python -m benchmark restore runs/quickstart/base 'scans/*.tif' restored --tile 512 --runtime compiled
      cat photo.png | python -m benchmark restore runs/quickstart/base - - > better.png
    """
    from benchmark.inference.restore_tasks import has_result, tasks_of, waiting_tasks

    _check_options(tile, overlap, whole=whole, for_maps=ensemble or (runtime, dtype) != ("eager", "float32"), maps=maps)
    pictures = [path for path in (maps, compare) if path]
    listing = tasks_of(images, out, suffix.upper() if suffix else None, pictures)
    if maps and not replace and any(map(has_result, listing.tasks)):
        pictures = [*(maps / name for name in _map_names(record, plugins)), *((compare,) if compare else ())]
    waiting = listing.tasks if replace else waiting_tasks(listing.tasks, pictures)
    say = partial(click.echo, err=any(task.output is None for task in listing.tasks))
    _show_start(listing, waiting, record, say)
    counts = Counter[str]()
    if waiting:
        from benchmark.inference.restore_images import RestoreSettings, restore_files
        from benchmark.inference.restore_network import NetworkUse

        use = NetworkUse(runtime, dtype, 0 if whole else tile, overlap, ensemble, with_maps=bool(maps))
        networks = _networks(record, device, use, len(waiting), plugins)
        with noted_as_resumable():
            for outcome in restore_files(networks, waiting, RestoreSettings(strength, compare, maps)):
                _show_outcome(outcome, say)
                counts[outcome.result] += 1
    skipped = len(listing.tasks) - len(waiting) + len(listing.others)
    say(f"{counted(counts['restored'], 'image')} restored, {skipped} skipped, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


def _check_options(tile: int | None, overlap: int, *, whole: bool, for_maps: bool, maps: Path | None) -> None:
    """Raise click.UsageError where options exclude each other; `for_maps`: one is given that gives no maps."""
    if tile is not None and whole:
        raise click.UsageError("--whole and --tile exclude each other")
    if tile is not None and overlap >= tile:
        raise click.UsageError(f"--overlap {overlap}: it must be below --tile {tile}")
    if maps and (tile is not None or for_maps):
        raise click.UsageError("--maps: leave out --tile, --ensemble, --runtime and --dtype, which give no maps")


def _show_start(listing: "TaskList", waiting: "Collection[RestoreTask]", record: Path, say: Say) -> None:
    """Say what is to be done and what is not; torch, which takes seconds, is imported after that."""
    say(f"{counted(len(waiting), 'image')} to restore with {record}")
    sources = {task.source for task in waiting}
    for task in listing.tasks:
        if task.source not in sources:
            say(printable(f"skipped {task.source}: {task.output} is there already; --replace restores it anew"))
    for file in listing.others:
        say(printable(f"skipped {file}: no image by its suffix"))


def _show_outcome(outcome: "ImageOutcome", say: Say) -> None:
    task = outcome.task
    if outcome.result == "failed":
        hint = "; --tile 512 needs less" if "memory" in outcome.message else ""
        click.echo(printable(f"failed {outcome.message}{hint}"), err=True)
    else:
        note = f" ({outcome.message})" if outcome.message else ""
        say(printable(f"restored {task.source or 'standard input'} -> {task.output or 'standard output'}{note}"))


def _map_names(record: Path, plugins: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the maps that are written of each image."""
    from benchmark.inference.restore_network import shown_maps
    from benchmark.model import load
    from benchmark.registry import Registry

    return shown_maps(load(record, Registry(plugins)))


def _networks(
    record: Path, device: str | None, use: "NetworkUse", images: int, plugins: tuple[Path, ...]
) -> "RestoreWorkers":
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.int8 import shipped_file
    from benchmark.inference.restore_network import shown_maps
    from benchmark.inference.restore_workers import restore_workers
    from benchmark.inference.runtimes import check_runtime
    from benchmark.model import load
    from benchmark.model.restorer import fold
    from benchmark.processes import usable_cores
    from benchmark.registry import Registry

    machine = prepare_machine(device)
    check_runtime(use.runtime, machine.device, use.dtype)
    restorer = load(record, Registry(plugins))

    def note(line: str) -> None:
        click.echo(f"note: {line}", err=True)

    if use.with_maps and not shown_maps(restorer):
        note(f"--maps writes nothing: the head of {record} predicts no map that a picture can show")
    file = shipped_file(record)
    if file and (use.with_maps or (use.runtime, use.dtype) != ("eager", "float32")):
        note("the row was scored in 8 bits; with --maps, --runtime or --dtype its weights before that are used")
        file = None
    elif file:
        note("with the file in 8 bits that the row was scored with")
    return restore_workers(fold(restorer).to(machine.device), machine, use, images, usable_cores(), note, file)
