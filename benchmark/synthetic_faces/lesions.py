"""What grows on the skin, and where: amounts of damage, the table of lesions, single ones, rashes, diffuse patches.

Everything here is a plan in pixels and millimetres; `lesion_rendering` draws it. Three presets were tuned by hand:

| preset | meant to match | input PSNR, median |
|---|---|---|
| contest | 8 inputs of a retouching contest (specks, scratches and patches on StyleGAN faces) | 41.7 dB |
| heavy | raw pairs of FFHQR-Seq | 37.5 dB |
| severe | raw pairs of MRFV, real video | 32.1 dB |

Lesions per face and their sizes follow the annotations of ACNE04 (log-normal radius, sigma 0.54).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.synthetic_faces.portrait import Portrait
from benchmark.synthetic_faces.raster import Field, smooth_noise

PresetName = Literal["contest", "heavy", "severe"]
Span = tuple[float, float]
Kind = Literal["papule", "pustule", "comedo", "mark", "freckle", "mole", "nodule", "scar", "speck", "scratch"]
_FULL_FACE_MM2 = 17000.0
_MOST_LESIONS = 420
_REGION_MM, _REGION_STRENGTH = 18.0, 0.7  # some regions of a face have more lesions than others
_BARE, _BARE_ENOUGH = 0.5, 0.4  # skin from here on can carry a lesion; a member of a rash
_SCRATCHES = 0.06  # share of a rash that are fine strokes, like hairs
_MIX_SHAPE = 1.2  # of the gamma distribution that gives each face its own mix


@dataclass(frozen=True)
class Preset:
    """Amounts of damage.

    Lesions on a fully visible face are log-normal (`lesions_median`, `lesions_sigma`); `radius_scale` and
    `density_scale` multiply the radii and optical densities of the table of lesions; `clusters` is the smallest and
    largest number of rashes; `patch_probability` that of diffuse patches; `gain_mean` and `gain_spread` belong to the
    global gain K; `noise_levels` is the sensor's noise in 8-bit levels.
    """

    lesions_median: float
    lesions_sigma: float
    radius_scale: float
    density_scale: float
    clusters: tuple[int, int]
    patch_probability: float
    gain_mean: float
    gain_spread: float
    noise_levels: float


PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        "contest": Preset(30, 0.45, 0.85, 1.56, (1, 6), 0.95, 0.0072, 0.0038, 0.9),
        "heavy": Preset(70, 0.60, 1.40, 1.54, (1, 5), 0.80, 0.0046, 0.0125, 0.8),
        "severe": Preset(160, 0.45, 1.70, 2.0, (3, 8), 0.90, 0.0046, 0.0205, 1.0),
    }
)


@dataclass(frozen=True)
class LesionType:
    """One kind of lesion.

    `share` is its weight among single lesions (guided by the annotation counts of acne-instance-seg-pre, tuned by eye).
    The radius in mm is log-normal. `melanin` and `haemoglobin` are ranges of the peak optical density; `softness` is
    that of the edge, `halo` the share of redness around the body, `relief` the height of the bump (negative is a pit),
    `aspect` the range of width over length.
    `dense` pigment is eumelanin, almost black; `stretched` skin loses its pores; `pus` has a pale core.
    """

    share: float
    radius_mm: float
    radius_sigma: float
    melanin: Span
    haemoglobin: Span
    softness: float
    halo: float
    relief: float
    aspect: Span = (0.72, 1.0)
    dense: bool = False
    stretched: bool = False
    pus: bool = False


LESIONS: dict[Kind, LesionType] = {
    "papule": LesionType(0.31, 1.25, 0.38, (0.02, 0.10), (0.30, 0.65), 0.30, 0.45, 0.9, stretched=True),
    "pustule": LesionType(0.07, 1.35, 0.30, (0.00, 0.05), (0.40, 0.85), 0.25, 0.55, 1.2, stretched=True, pus=True),
    "comedo": LesionType(0.10, 0.60, 0.30, (0.25, 0.70), (0.00, 0.10), 0.22, 0.05, -0.4, dense=True),
    "mark": LesionType(0.28, 1.70, 0.45, (0.08, 0.28), (0.10, 0.34), 0.55, 0.30, 0.0),
    "freckle": LesionType(0.14, 0.75, 0.40, (0.12, 0.34), (0.00, 0.05), 0.40, 0.05, 0.0),
    "mole": LesionType(0.03, 1.10, 0.45, (0.45, 1.10), (0.05, 0.25), 0.18, 0.08, 0.5, dense=True),
    "nodule": LesionType(0.03, 2.80, 0.30, (0.00, 0.06), (0.35, 0.70), 0.45, 0.60, 1.0, stretched=True),
    "scar": LesionType(0.04, 1.20, 0.40, (-0.05, 0.08), (0.00, 0.10), 0.35, 0.10, -1.4),
    # Members of a rash; never drawn alone.
    "speck": LesionType(0.00, 0.68, 0.45, (0.05, 0.30), (0.05, 0.30), 0.25, 0.35, -0.3, (0.35, 1.0), dense=True),
    "scratch": LesionType(0.00, 2.20, 0.40, (0.20, 0.45), (0.20, 0.60), 0.35, 0.10, 0.0, (0.06, 0.12), dense=True),
}


@dataclass(frozen=True)
class Lesion:
    """One lesion: its kind and centre in pixels; `direction` in radians if it is a stroke of a rash."""

    kind: Kind
    x: int
    y: int
    direction: float | None = None


@dataclass(frozen=True)
class Rash:
    """Reddened skin with specks and scratches that share a direction: centre and radius in pixels."""

    x: int
    y: int
    radius_px: float
    specks: tuple[Lesion, ...]


@dataclass(frozen=True)
class Patch:
    """A diffuse patch of redness (or else of melanin): centre, radius in pixels, and its height over its width."""

    x: int
    y: int
    radius_px: float
    stretch: float
    red: bool


@dataclass(frozen=True)
class Plan:
    """All that is to be drawn on a face."""

    lesions: tuple[Lesion, ...]
    rashes: tuple[Rash, ...]
    patches: tuple[Patch, ...]


@dataclass(frozen=True)
class _Ground:
    """Where lesions may be: draws centres from the cumulated density of all pixels."""

    skin: Field
    cumulated: NDArray[np.float64]

    def centre(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return a random x, y."""
        place = int(self.cumulated.searchsorted(rng.random() * float(self.cumulated[-1])))
        y, x = divmod(place, self.skin.shape[1])
        return x, y


def plan_damage(rng: np.random.Generator, portrait: Portrait, preset: Preset) -> Plan:
    """Return what grows on this face: nothing on a face that shows no skin."""
    mm = portrait.pixels_per_mm
    skin = portrait.skin
    preference = np.exp(_REGION_STRENGTH * smooth_noise(rng, (skin.shape[0], skin.shape[1]), _REGION_MM * mm))
    ground = _Ground(skin, np.cumsum((skin * preference * (skin > _BARE)).ravel(), dtype=np.float64))
    if ground.cumulated[-1] <= 0:
        return Plan((), (), ())
    lesions = tuple(_single_lesions(rng, ground, preset, mm))
    rashes = tuple(_rash(rng, ground, mm) for _ in range(rng.integers(*preset.clusters, endpoint=True)))
    has_patches = rng.random() < preset.patch_probability
    patches = tuple(_patch(rng, ground, mm) for _ in range(rng.integers(1, 4))) if has_patches else ()
    return Plan(lesions, rashes, patches)


def _single_lesions(rng: np.random.Generator, ground: _Ground, preset: Preset, mm: float) -> Iterator[Lesion]:
    visible = np.clip(float(ground.skin.sum()) / mm**2 / _FULL_FACE_MM2, 0.05, 1.5)
    count = rng.lognormal(math.log(preset.lesions_median), preset.lesions_sigma) * visible
    kinds = list(LESIONS)
    weights = np.array([LESIONS[kind].share for kind in kinds]) * rng.gamma(_MIX_SHAPE, 1, len(kinds))
    chosen = rng.choice(len(kinds), int(np.clip(count, 1, _MOST_LESIONS)), p=weights / weights.sum())
    for index in chosen:
        yield Lesion(kinds[int(index)], *ground.centre(rng))


def _rash(rng: np.random.Generator, ground: _Ground, mm: float) -> Rash:
    x, y = ground.centre(rng)
    radius = float(np.clip(rng.lognormal(math.log(8.5), 0.45), 3, 18)) * mm
    aspect, direction = rng.uniform(0.35, 1), rng.uniform(0, np.pi)
    offsets = rng.normal(0, 0.5 * radius, (rng.integers(6, 30), 2)) * (1, aspect)
    cos, sin = np.cos(direction), np.sin(direction)
    places = (np.array([x, y]) + offsets @ np.array([[cos, sin], [-sin, cos]])).astype(int)
    height, width = ground.skin.shape
    kinds: list[Kind] = ["scratch" if scratched else "speck" for scratched in rng.random(len(places)) < _SCRATCHES]
    specks = tuple(
        Lesion(kind, int(px), int(py), direction)
        for kind, (px, py) in zip(kinds, places, strict=True)
        if 0 <= py < height and 0 <= px < width and ground.skin[py, px] > _BARE_ENOUGH
    )
    return Rash(x, y, radius, specks)


def _patch(rng: np.random.Generator, ground: _Ground, mm: float) -> Patch:
    x, y = ground.centre(rng)
    return Patch(x, y, rng.uniform(6, 16) * mm, rng.uniform(0.8, 1.3), rng.random() < 0.65)
