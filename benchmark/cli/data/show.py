"""`data show`: draw pairs, before and after augmentation."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import plugin_option
from benchmark.data import Pair, Source, in_levels

if TYPE_CHECKING:  # pydantic and Pillow are imported only when the command runs
    from reports.figures.pictures import Image

_TILE_PX = 256
_AMPLIFIED = 4
_ROWS = ("degraded", "target", f"difference x {_AMPLIFIED}", "spots")


@click.command("show")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--source", metavar="YAML", help="A source with its options, instead of FILE.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="train", show_default=True)
@click.option("--augment", multiple=True, metavar="YAML", help="An augmentation, alone or with options; repeatable.")
@click.option("--count", type=click.IntRange(1, 64), default=6, show_default=True, help="How many pairs.")
@click.option(
    "--patch", type=click.IntRange(1, 100_000), metavar="PX", help=f"Side of the patches.  [default: up to {_TILE_PX}]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of places and augmentations.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("pairs.png"), show_default=True)
@click.option("--statistics", is_flag=True, help="Print how strongly the whole images are damaged, too.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of the experiment.")
@plugin_option
def command(
    file: Path | None,
    source: str | None,
    split: str,
    augment: tuple[str, ...],
    count: int,
    patch: int | None,
    seed: int,
    out: Path,
    statistics: bool,
    sets: tuple[str, ...],
    plugins: tuple[Path, ...],
) -> None:
    """Draw patches of the first pairs of the experiment in FILE, or of a source, on one PNG.

    From top to bottom: degraded, target, the largest difference of a channel, the spots as the metrics count them; with
    --augment the same of the augmented patch below. (An augmentation that chooses the crop cuts its own patch.)
    --statistics prints PSNR, share of pixels off by more than 30 of 255 levels, number and radius of their regions.

    \b
    Examples:
      python -m benchmark data show experiments/quickstart.yaml --split val
      python -m benchmark data show experiments/quickstart.yaml --augment 'mask_shift: {probability: 1}' --out shift.png
      python -m benchmark data show --source 'synthetic_faces: {preset: heavy}' --augment flip --augment jpeg
      python -m benchmark data show --source 'synthetic_faces: {size: 1024}' --count 12 --statistics
    """
    from benchmark.audit.degradation import statistics as statistics_of
    from benchmark.audit.degradation import summary
    from benchmark.data.augmentations import make_augmentations
    from benchmark.data.sampling import Sampler
    from benchmark.data.sources import open_source
    from benchmark.experiment.component_text import components_from_text
    from benchmark.experiment.load import load
    from benchmark.files import write_bytes
    from benchmark.registry import Registry
    from reports.figures.pictures import contact_sheet, png

    registry = Registry(plugins)
    augmentations = make_augmentations(components_from_text("augmentation", "--augment", augment, registry), registry)
    if source is not None and file is None and not sets:
        ((name, options),) = components_from_text("source", "--source", [source], registry).items()
        opened = open_source({"source": name, **options}, registry)
    elif file is not None and source is None:
        opened = open_source(load(file, registry, sets).rows[0].recipe.sources[split], registry)
    else:
        raise click.UsageError("name either the FILE of an experiment (--set changes it) or a --source")
    first = _FirstPairs(tuple(opened.read(index) for index in range(min(count, len(opened)))))
    side = patch or min(_TILE_PX, *(side for pair in first.pairs for side in pair.degraded.shape[:2]))
    samplers = [
        Sampler(first, seed, "show", side, chosen) for chosen in ([[], augmentations] if augmentations else [[]])
    ]
    patches = [[sampler.patch_at(position) for position in range(len(first))] for sampler in samplers]
    labels = [_label(f"{row}{suffix}") for suffix in ("", "\nafter")[: len(patches)] for row in _ROWS]
    columns = [[tile for pair in column for tile in _tiles(pair)] for column in zip(*patches, strict=True)]
    write_bytes(out, png(contact_sheet([labels, *columns], _TILE_PX)))
    click.echo(f"{out}: patches of {side} pixels, from left to right {', '.join(pair.name for pair in patches[0])}")
    if statistics:
        pairs = (replace(pair, degraded=in_levels(pair.degraded)) for pair in first.pairs)
        click.echo("\n".join(summary([statistics_of(pair) for pair in pairs])))


@dataclass(frozen=True)
class _FirstPairs(Source):
    """The first pairs of a source, kept in memory because each is drawn up to twice."""

    pairs: tuple[Pair, ...]
    origin = "another source"

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> Pair:
        return self.pairs[index]

    @property
    def fingerprint(self) -> str:
        return " ".join(pair.name for pair in self.pairs)


def _tiles(pair: Pair) -> list["Image"]:
    """Return the pictures of a pair, in the order of the rows."""
    import numpy as np

    from benchmark.evaluation.metrics import find_spots
    from reports.figures.pictures import error

    degraded = in_levels(pair.degraded)
    difference = np.minimum(_AMPLIFIED * error(degraded, pair.target), 255).astype(np.uint8)
    spots = 255 * find_spots(degraded, pair.target).astype(np.uint8)
    return [degraded, pair.target, *(np.repeat(grey[..., None], 3, 2) for grey in (difference, spots))]


def _label(text: str) -> "Image":
    import numpy as np
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), "white")
    ImageDraw.Draw(tile).text((_TILE_PX / 2, _TILE_PX / 2), text, "black", anchor="mm", align="center", font_size=26)
    return np.asarray(tile)
