"""`restore`: a trained network over a folder of images."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from benchmark.cli.progress import show_progress
from benchmark.errors import DataError
from reports.schema import Dtype, Runtime

if TYPE_CHECKING:  # numpy and torch come in only when the command runs
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.inference.prepared_network import PreparedNetwork
    from benchmark.inference.restore_folder import ImageOutcome

_SIZES_AT_HAND = 4
"""Networks made ready for other sizes of images that are kept."""


@dataclass(frozen=True)
class _Request:
    record: Path
    images: Path
    out: Path
    tile: int | None
    overlap: int
    runtime: str
    dtype: Dtype
    device: str | None
    replace: bool
    plugins: tuple[Path, ...]


@click.command("restore")
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--tile", type=click.IntRange(min=1), metavar="PIXELS", help="Restore in square tiles, for less memory.")
@click.option("--overlap", type=click.IntRange(min=0), default=32, show_default=True, help="Of tiles, in pixels.")
@click.option(
    "--runtime", type=click.Choice(get_args(Runtime)), default="eager", show_default=True, help="How the network runs."
)
@click.option("--dtype", type=click.Choice(get_args(Dtype)), default="float32", show_default=True)
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cuda if there is one]")
@click.option("--replace", is_flag=True, help="Restore again what is there already.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(**options: Any) -> int:
    """Restore the images in the folder IMAGES with a trained row, and write PNG of equal names to the folder OUT.

    RECORD is the folder of the trained row. Sub-folders are restored, too. What is in OUT already is passed over, so an
    interrupted command goes on when it is given again. Runtimes other than eager and channels_last make the network
    ready for each size of image anew, which takes up to a minute: with --tile there is only one size.

    \b
    Examples:
      python -m benchmark restore runs/quickstart/base/seed0 portraits restored
      python -m benchmark restore runs/quickstart/base/seed0 portraits restored --tile 512 --runtime compiled
    """
    from benchmark.data.image_io import images_in
    from benchmark.inference.restore_folder import restore_folder

    request = _Request(**options)
    if request.tile is not None and request.overlap >= request.tile:
        raise click.UsageError(f"--overlap {request.overlap}: it must be below --tile {request.tile}")
    if request.out.resolve().is_relative_to(request.images.resolve()):
        raise DataError(f"{request.out}: lies in the folder of images, and would be restored next time; choose another")
    images = images_in(request.images)
    outcomes: list[ImageOutcome] = []

    def done() -> Iterator[int]:
        for outcome in restore_folder(_restore(request), images, request.out, replace=request.replace):
            outcomes.append(outcome)
            yield len(outcomes)

    show_progress(done(), len(images), "image")
    return _conclude(request, outcomes)


def _restore(request: _Request) -> "Callable[[NDArray[np.uint8]], NDArray[np.uint8]]":
    """Return the network as a function on images. Raises RecordError, and RuntimeUnavailable when it is called."""
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.runtimes import prepare
    from benchmark.inference.tiles import restore_in_tiles
    from benchmark.model import load
    from benchmark.model.restorer import fold
    from benchmark.registry import Registry

    device = prepare_machine(request.device).device
    restorer = fold(load(request.record, Registry(request.plugins)))

    @lru_cache(_SIZES_AT_HAND)
    def runner(height: int, width: int) -> "PreparedNetwork":
        return prepare(request.runtime, restorer, (height, width), device, request.dtype)

    def restore(image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        if request.tile is None:
            return runner(image.shape[0], image.shape[1]).restore(image)
        return restore_in_tiles(runner(request.tile, request.tile).restore, image, request.tile, request.overlap)

    return restore


def _conclude(request: _Request, outcomes: "list[ImageOutcome]") -> int:
    for outcome in outcomes:
        if outcome.result == "failed":
            hint = "; --tile 512 needs less" if "memory" in outcome.message and request.tile is None else ""
            click.echo(f"not restored: {outcome.message}{hint}", err=True)
    count = Counter(outcome.result for outcome in outcomes)
    parts = [f"{count['restored']} images restored in {request.out}"]
    parts += [f"{count['skipped']} were there already"] if count["skipped"] else []
    parts += [f"{count['failed']} failed"] if count["failed"] else []
    click.echo(", ".join(parts))
    return 1 if count["failed"] else 0
