"""Starter recipe: the text of an experiment on a set of pairs, chosen by what the pairs are like.

Small spots on clean pictures need patches that hold spots, a loss of squared errors and a head that leaves alone what
is no spot. On 40 pairs with spots on 1.3 % of the pixels (32.25 dB, in the spots 19.21 dB; one seed, 4 test images):

    network, steps        loss              patches cut around spots   PSNR    in the spots   harm, levels
    unet, 300             l1                half                       32.25   19.21          0.00
    unet, 300             psnr over batch   half                       39.64   28.08          0.31
    blend_pyramid, 941    psnr over batch   half                       38.45   27.57          0.68
    blend_pyramid, 941    the same + 20 l1  a fifth                    38.47   27.23          0.49
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Final

from benchmark.audit.measurements import PairMeasurements
from benchmark.audit.starter_experiment import LINKS_FOLDER, Splits, safe_name

_RARE_SHARE: Final = 0.05
"""Share of the pixels below which patches from anywhere hardly see the spots; reports warn at the same share."""
_SPOT_ENERGY: Final = 0.3
"""Share of the squared error from which on the spots are what is to be restored."""
_TABLE: Final = "backbones"
_PATCH_PX: Final = 64
_BATCH: Final = 8
_WARM_UP_SHARE: Final = 0.05


@dataclass(frozen=True)
class Traits:
    """What of a set of pairs decides how to train on it.

    Attributes:
        image: Height and width in pixels of the pair of median area.
        smallest_side: The shortest side of all images, in pixels.
        spot_share: Mean share of pixels that differ by more than 30 levels.
        spot_energy: Median of their share of the squared error; 0 where no pixel differs.
    """

    image: tuple[int, int]
    smallest_side: int
    spot_share: float
    spot_energy: float

    @property
    def has_rare_spots(self) -> bool:
        """Whether the error lies in few pixels."""
        return 0 < self.spot_share < _RARE_SHARE and self.spot_energy >= _SPOT_ENERGY


def traits_of(pairs: Sequence[PairMeasurements]) -> Traits:
    """Return the traits of usable pairs, of which there is at least one."""
    by_area = sorted(pairs, key=lambda pair: pair.height * pair.width)
    middle = by_area[len(by_area) // 2]
    degradations = [pair.degradation for pair in pairs]
    return Traits(
        image=(middle.height, middle.width),
        smallest_side=min(min(pair.height, pair.width) for pair in pairs),
        spot_share=fmean(degradation.severe_share for degradation in degradations),
        spot_energy=median(degradation.severe_energy or 0.0 for degradation in degradations),
    )


@dataclass(frozen=True)
class Rival:
    """A network that a starter experiment compares: its name there, and its backbone as in YAML."""

    name: str
    backbone: Mapping[str, str | int] = field(hash=False)


RIVALS: Final = (
    Rival("unet", {"name": "unet", "size": "tiny"}),
    Rival("small_unet", {"name": "unet", "width": 8, "levels": 2, "max_width": 16}),
    Rival("blend_pyramid", {"name": "blend_pyramid", "size": "tiny"}),
    Rival("nafnet", {"name": "nafnet", "size": "tiny"}),
    Rival("gunet", {"name": "gunet", "size": "tiny"}),
    Rival("wide_unet", {"name": "unet", "width": 24, "levels": 3, "max_width": 48}),
)
"""The order in which they are taken as far as time and limits allow. The first that is taken is the base row."""


def row_names(rivals: Sequence[Rival]) -> tuple[str, ...]:
    """Return the names of the rows of networks in an experiment."""
    return ("base", *(f"{_TABLE}.{rival.name}" for rival in rivals[1:]))


@dataclass(frozen=True)
class Effort:
    """How much is trained.

    Attributes:
        rivals: The networks, the base row first.
        steps: Of each training.
        rates: Learning rates that are tried on val for each row; a single one: none is.
        seeds: How often each row is trained.
    """

    rivals: tuple[Rival, ...]
    steps: int
    rates: tuple[float, ...]
    seeds: int


FEW_STEPS: Final = Effort(RIVALS[:2], steps=500, rates=(3e-3,), seeds=2)
"""Enough to see that everything works."""


def head_of(traits: Traits) -> str:
    """Return the name of the head that suits the data: spots are blended over, anything else is an equation."""
    return "mask_blend" if traits.has_rare_spots else "degradation"


def recipe_text(
    header: str, name: str, splits: Splits, traits: Traits, effort: Effort, gates: Sequence[str], folder: str = ""
) -> str:
    """Return the YAML text of an experiment.

    Args:
        header: Its first lines, without the signs of a comment.
        name: The name of the data.
        splits: Names of pairs by split.
        traits: What the pairs are like.
        effort: How much is trained.
        gates: A line of YAML for each limit.
        folder: Where the folder of links lies, relative to the file.
    """
    links = f"{folder}/{LINKS_FOLDER}" if folder else LINKS_FOLDER
    sources = "\n".join(
        f"  {split}: {{source: paired_folders, degraded: {links}/{split}/degraded, "
        f"target: {links}/{split}/target}}   # {len(names)} {'pair' if len(names) == 1 else 'pairs'}"
        for split, names in splits.items()
    )
    base, *others = effort.rivals
    return _TEMPLATE.format(
        header="\n".join(f"# {line}" for line in header.splitlines()),
        name=safe_name(name),
        sources=sources,
        backbone=_flow(base.backbone),
        head=head_of(traits),
        steps=effort.steps,
        batch=_BATCH,
        patch=min(_PATCH_PX, traits.smallest_side),
        rate=f"{effort.rates[len(effort.rates) // 2]:g}",
        warm_up=max(1, round(_WARM_UP_SHARE * effort.steps)),
        training=(_SPOT_TRAINING if traits.has_rare_spots else _PLAIN_TRAINING).format(
            percent=f"{100 * traits.spot_share:.2g}"
        ),
        gates="".join(("gates:\n", *(f"  {line}\n" for line in gates))) if gates else "",
        seeds=", ".join(map(str, range(effort.seeds))),
        tuning=_tuning(effort.rates),
        tables=_tables(others),
    )


def _tuning(rates: Sequence[float]) -> str:
    if len(rates) < 2:
        return ""
    lines = [f"    lr_{rate:g}: {{protocol.train.lr: {rate:g}}}\n" for rate in rates]
    return "tuning:                # each row runs with the rate that is best on val\n  candidates:\n" + "".join(lines)


def _tables(rivals: Sequence[Rival]) -> str:
    if not rivals:
        return ""
    lines = [f"    {rival.name}: {{model.backbone: {_flow(rival.backbone)}}}\n" for rival in rivals]
    return f"tables:\n  {_TABLE}:\n" + "".join(lines)


def _flow(mapping: Mapping[str, str | int]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in mapping.items()) + "}"


_SPOT_TRAINING: Final = """\
    # Squared errors, of the batch as a whole: by absolute ones, changing nothing is best where most pixels are right.
    # A share of absolute ones beside them keeps the network from changing those.
    loss: {{psnr: {{over: batch}}, l1: 20.0}}
    # Spots cover {percent} % of the pixels: a fifth of the patches are cut around one.
    augment: {{spot_crop: {{share: 0.2}}, flip: {{}}, rotate90: {{}}}}
"""
_PLAIN_TRAINING: Final = """\
    loss: {{psnr: {{over: batch}}}}
    augment: {{flip: {{}}, rotate90: {{}}}}
"""
_TEMPLATE: Final = """\
{header}
name: "{name}"
data:
{sources}
model:
  backbone: {backbone}
  head: {{name: {head}}}
protocol:
  order: [train]
  train:
    steps: {steps}
    batch: {batch}
    patch: {patch}
    lr: {rate}
    schedule: {{warmup_steps: {warm_up}}}
    optimizer: {{betas: [0.9, 0.99]}}
    clip_norm: 1.0
{training}{gates}seeds: [{seeds}]
report: {{primary: psnr, equivalence_margin: 0.1}}
{tuning}{tables}"""
