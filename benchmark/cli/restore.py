"""`restore`: a trained network over a folder of images."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import plugin_option
from benchmark.cli.terminal import show_progress
from benchmark.errors import DataError, counted
from benchmark.interrupts import noted_as_resumable

if TYPE_CHECKING:  # numpy and torch are imported only when the command runs
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.inference.prepared_network import PreparedNetwork
    from reports.schema import Dtype

_RUNTIMES = ("eager", "channels_last", "compiled", "cuda_graph", "onnxruntime", "openvino", "tensorrt")
_PREPARED_SIZES = 4
"""Networks that are kept, each prepared for one size of images."""


@click.command("restore")
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--tile", type=click.IntRange(1, 100_000), metavar="PIXELS", help="Restore in square tiles, for less memory."
)
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
    images: Path,
    out: Path,
    tile: int | None,
    overlap: int,
    runtime: str,
    dtype: "Dtype",
    device: str | None,
    replace: bool,
    plugins: tuple[Path, ...],
) -> int:
    """Restore the images in the folder IMAGES with a trained row, and write PNG of equal names to the folder OUT.

    RECORD is the folder of the trained row. Sub-folders are restored, too. Images that are in OUT already are skipped:
    the same command continues an interrupted one. Runtimes other than eager and channels_last prepare the network for
    each size of image, which takes up to a minute: with --tile there is one size for all larger images. cuda_graph and
    tensorrt are not tried on a GPU yet.

    Tiles give the same image as a whole where the network looks at most a quarter of a tile far; else a note says so.
    Of an image with alpha, a colour profile, more than 8 bits or several frames a note says what the result has not.

    \b
    Examples:
      python -m benchmark restore runs/quickstart/base/seed0 portraits restored
      python -m benchmark restore runs/quickstart/base/seed0 portraits restored --tile 512 --runtime compiled
    """
    from benchmark.data.image_folders import images_in
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.restore_images import restore_folder
    from benchmark.inference.runtimes import check_runtime, prepare
    from benchmark.inference.tiles import restore_in_tiles, tiling_for
    from benchmark.model import load
    from benchmark.model.restorer import fold
    from benchmark.registry import Registry

    if tile is not None and overlap >= tile:
        raise click.UsageError(f"--overlap {overlap}: it must be below --tile {tile}")
    if out.resolve().is_relative_to(images.resolve()):
        raise DataError(f"{out}: is inside the folder of images, and would be restored next time; choose another")
    files = images_in(images)
    torch_device = prepare_machine(device).device
    check_runtime(runtime, torch_device, dtype)
    restorer = fold(load(record, Registry(plugins))).to(torch_device)
    tiling, note = (None, "") if tile is None else tiling_for(restorer, tile, overlap, torch_device)
    if note:
        click.echo(f"note: {note}", err=True)

    @lru_cache(_PREPARED_SIZES)
    def prepared(height: int, width: int) -> "PreparedNetwork":
        return prepare(runtime, restorer, (height, width), torch_device, dtype)

    def restore(image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        return prepared(image.shape[0], image.shape[1]).restore(image)

    def restore_whole_or_in_tiles(image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        return restore(image) if tiling is None else restore_in_tiles(restore, image, tiling)

    with noted_as_resumable():
        restored = restore_folder(restore_whole_or_in_tiles, files, out, replace=replace)
        outcomes = show_progress(restored, len(files), "image")
    for outcome in outcomes:
        if outcome.result == "failed":
            hint = "; --tile 512 needs less" if "memory" in outcome.message and tile is None else ""
            click.echo(f"not restored: {outcome.message}{hint}", err=True)
        elif outcome.message:
            click.echo(f"note: {outcome.message}", err=True)
    counts = Counter(outcome.result for outcome in outcomes)
    parts = [f"{counted(counts['restored'], 'image')} restored in {out}"]
    parts += [f"{counts['skipped']} were there already"] if counts["skipped"] else []
    parts += [f"{counts['failed']} failed"] if counts["failed"] else []
    click.echo(", ".join(parts))
    return 1 if counts["failed"] else 0
