"""`data show`: draw pairs, before and after augmentation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.data import Augmentation, Pair, Source
from benchmark.errors import ExperimentError, suggestion

if TYPE_CHECKING:  # pydantic and Pillow come in only when the command runs
    from benchmark.registry import Registry
    from reports.figures.pictures import Image

_TILE_PX = 256
_AMPLIFIED = 4
_ROWS = ("degraded", "target", f"difference x {_AMPLIFIED}", "spots")


@dataclass(frozen=True)
class _Request:
    """The arguments of the command."""

    file: Path | None
    source: str | None
    split: str
    augment: tuple[str, ...]
    count: int
    patch: int | None
    seed: int
    out: Path
    statistics: bool
    sets: tuple[str, ...]
    plugins: tuple[Path, ...]


@click.command("show")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--source", metavar="YAML", help="A source with its options, instead of FILE.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="train", show_default=True)
@click.option("--augment", multiple=True, metavar="YAML", help="An augmentation, alone or with options; repeatable.")
@click.option("--count", type=click.IntRange(1, 64), default=6, show_default=True, help="How many pairs.")
@click.option(
    "--patch", type=click.IntRange(1), metavar="PX", help=f"Side of the patches.  [default: up to {_TILE_PX}]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of places and augmentations.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("pairs.png"), show_default=True)
@click.option("--statistics", is_flag=True, help="Print how strongly the whole images are damaged, too.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of the experiment.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(**options: Any) -> None:
    r"""Draw patches of the first pairs of the experiment in FILE, or of a source, on one PNG.

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
    from benchmark.data.augmentations import make_augmentations
    from benchmark.files import write_bytes
    from benchmark.registry import Registry
    from reports.figures.pictures import png

    request = _Request(**options)
    registry = Registry(request.plugins)
    augmentations = make_augmentations(_components("augmentation", "--augment", request.augment, registry), registry)
    first = _FirstPairs.of(_open(request, registry), request.count)
    side = request.patch or min(_TILE_PX, first.shortest_side)
    before = _patches(first, [], side, request.seed)
    after = _patches(first, augmentations, side, request.seed) if augmentations else []
    write_bytes(request.out, png(_sheet(before, after)))
    click.echo(f"{request.out}: patches of {side} pixels, from left to right {', '.join(pair.name for pair in before)}")
    if request.statistics:
        _print_statistics(first.pairs)


def _print_statistics(pairs: Sequence[Pair]) -> None:
    from benchmark.audit.degradation import statistics, summary

    for line in summary([statistics(pair) for pair in pairs]):
        click.echo(line)


@dataclass(frozen=True)
class _FirstPairs(Source):
    """The first pairs of a source, stored in memory because each is shown twice."""

    pairs: tuple[Pair, ...]
    whole: Source
    origin = "another source"

    @classmethod
    def of(cls, source: Source, count: int) -> "_FirstPairs":
        return cls(tuple(source.read(index) for index in range(min(count, len(source)))), source)

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> Pair:
        return self.pairs[index]

    @property
    def fingerprint(self) -> str:
        return f"{self.whole.fingerprint} {len(self)}"

    @property
    def shortest_side(self) -> int:
        return min(side for pair in self.pairs for side in pair.degraded.shape[:2])


def _open(request: _Request, registry: "Registry") -> Source:
    from benchmark.data.sources import open_source
    from benchmark.experiment.load import load

    if request.file is None and request.source is not None and not request.sets:
        ((name, options),) = _components("source", "--source", [request.source], registry).items()
        return open_source({"source": name, **options}, registry)
    if request.file is None or request.source is not None:
        raise click.UsageError("name either the FILE of an experiment (--set changes it) or a --source")
    base = load(request.file, registry, request.sets).rows[0]
    return open_source(base.config["data"][request.split], registry)


def _components(kind: str, option: str, texts: Iterable[str], registry: "Registry") -> dict[str, dict[str, Any]]:
    """Return names and options as given on the command line: `flip` or `jpeg: {probability: 1}`."""
    from benchmark.experiment.document import parse

    components: dict[str, dict[str, Any]] = {}
    for text in texts:
        match parse(text, option).data:
            case str(name):
                components[name] = {}
            case {**settings} if len(settings) == 1 and isinstance(next(iter(settings.values())), dict):
                components |= settings
            case _:
                raise ExperimentError(
                    f"{option} {text!r}: write one name, or one name with options 'name: {{key: value}}'"
                )
    for name, options in components.items():
        _check_options(kind, option, name, options, registry)
    return components


def _check_options(kind: str, option: str, name: str, options: dict[str, Any], registry: "Registry") -> None:
    from pydantic import ValidationError

    model = registry.options_model(kind, name)
    try:
        model.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        unknown = f"no such option; {suggestion(key, model.model_fields)}"
        reason = unknown if first["type"] == "extra_forbidden" else first["msg"]
        raise ExperimentError(f"{option} {name}: {key}: {reason}") from None


def _patches(source: Source, augmentations: Sequence[Augmentation], side: int, seed: int) -> list[Pair]:
    """Return a patch of each pair, at the places that training would draw under the stage name `show`."""
    from benchmark.data.sampling import Sampler

    sampler = Sampler(source, seed, "show", side, augmentations)
    return [sampler.patch_at(position) for position in range(len(source))]


def _sheet(before: Sequence[Pair], after: Sequence[Pair]) -> "Image":
    from reports.figures.pictures import contact_sheet

    labels = [_label(row) for row in _ROWS] + [_label(f"{row}\nafter") for row in _ROWS if after]
    pairs = [[pair, *changed] for pair, *changed in zip(before, *([after] if after else []), strict=True)]
    return contact_sheet([labels, *([tile for pair in column for tile in _tiles(pair)] for column in pairs)], _TILE_PX)


def _tiles(pair: Pair) -> list["Image"]:
    """Return the pictures of a pair, in the order of the rows."""
    import numpy as np

    from benchmark.evaluation.metrics import find_spots
    from reports.figures.pictures import error

    difference = np.minimum(_AMPLIFIED * error(pair.degraded, pair.target), 255).astype(np.uint8)
    spots = 255 * find_spots(pair.degraded, pair.target).astype(np.uint8)
    return [pair.degraded, pair.target, *(np.repeat(grey[..., None], 3, 2) for grey in (difference, spots))]


def _label(text: str) -> "Image":
    import numpy as np
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), "white")
    ImageDraw.Draw(tile).text((_TILE_PX / 2, _TILE_PX / 2), text, "black", anchor="mm", align="center", font_size=26)
    return np.asarray(tile)
