"""Draws a plan of lesions as maps of optical density, relief and texture."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from benchmark.synthetic_faces.lesions import LESIONS, Lesion, LesionType, Patch, Plan, Preset, Rash
from benchmark.synthetic_faces.raster import (
    EUMELANIN,
    INFLAMED,
    LUMINANCE,
    MELANIN,
    Field,
    Window,
    bandpass,
    flat,
    sigmoid,
    smooth_noise,
)

_RADIUS_LIMITS_MM = (0.3, 6.5)
_DEPTH_LIMITS = (0.4, 1.3)  # large lesions of a kind are darker
_REACH = 3.2  # radii of a lesion that are drawn
_EDGE = 0.85  # radii at which the body is half as dense
_HALO = 1.9  # radii
_HALO_END = float(np.exp(-((_REACH / _HALO) ** 2)))  # subtracted, or the edge of the window would show
_RASH_SPREAD, _DIFFUSE_REACH = 1.1, 2.6  # standard widths, of rash radii; and how many of them are drawn
_STRETCH, _PUS = 0.6, 0.75  # share of pores lost; opacity of the core
_MOTTLING_MM, _FINEST_MOTTLING_PX = 0.25, 0.8  # finest detail of pigment that is uneven
_MOTTLING = 0.18  # its standard deviation


@dataclass(frozen=True)
class Pigments:
    """Maps of the damage, each `H W`.

    Attributes:
        melanin: optical density of brown pigment.
        haemoglobin: optical density of redness.
        eumelanin: optical density of black pigment.
        bumps: height of the bumps in pixels.
        pus: opacity of pale cores.
        stretched: how much the skin is stretched smooth, in [0, 1].
    """

    melanin: Field
    haemoglobin: Field
    eumelanin: Field
    bumps: Field
    pus: Field
    stretched: Field

    def density(self, mottling: Field) -> Field:
        """Return the optical density, planes `3 H W`, times `mottling`, `H W`."""
        red, brown, black = self.haemoglobin * mottling, self.melanin * mottling, self.eumelanin * mottling
        return red * flat(INFLAMED) + brown * flat(MELANIN) + black * flat(EUMELANIN)


@dataclass(frozen=True)
class Visibility:
    """How strongly pigments show on this skin: redness less and brown more on dark skin."""

    redness: float
    brown: float


@dataclass(frozen=True)
class _Stamp:
    """A lesion in its window: distance from the centre in radii of the (irregular) contour, and bare skin.

    `depth` multiplies the density: it is above 1 if the lesion is large for its kind.
    """

    window: Window
    radius_px: float
    depth: float
    distance: Field
    skin: Field


def skin_brightness(linear: Field, skin: Field) -> float:
    """Return the median luminance of the bare skin of planes `3 H W` in linear light."""
    bare = skin > 0.5
    return float(np.median(np.tensordot(LUMINANCE, linear, 1)[bare])) if bare.any() else 0.3


def visibility(brightness: float) -> Visibility:
    """Return the visibility on skin of a median luminance in [0, 1]."""
    return Visibility(
        redness=float(np.clip(0.55 + 1.2 * brightness, 0.55, 1.05)),
        brown=float(np.clip(1.35 - 0.9 * brightness, 0.7, 1.3)),
    )


def draw_pigments(
    rng: np.random.Generator, plan: Plan, skin: Field, pixels_per_mm: float, preset: Preset, shows: Visibility
) -> Pigments:
    """Draw the maps of everything in the plan; they are 0 where there is no skin."""
    maps = Pigments(*(np.zeros_like(skin) for _ in range(6)))
    for rash in plan.rashes:
        _redden(rng, maps, rash, skin, pixels_per_mm, preset.density_scale * shows.redness)
    for lesion in chain(plan.lesions, *(rash.specks for rash in plan.rashes)):
        stamp = _stamp(rng, lesion, skin, pixels_per_mm, preset.radius_scale)
        _add_lesion(rng, maps, LESIONS[lesion.kind], stamp, preset.density_scale, shows)
    for patch in plan.patches:
        _add_patch(rng, maps, patch, skin, pixels_per_mm, preset.density_scale, shows)
    return maps


def mottling(rng: np.random.Generator, shape: tuple[int, int], mm: float) -> Field:
    """Return the unevenness of pigment around 1; `mm` is a millimetre in pixels."""
    fine_px = max(_FINEST_MOTTLING_PX, _MOTTLING_MM * mm)
    return 1 + _MOTTLING * bandpass(rng, shape, fine_px, 2.75 * fine_px)


def _around(shape: tuple[int, ...], x: int, y: int, reach_px: float) -> tuple[Window, Field, Field]:
    """Return the window around a pixel and, in it, the distances right and down from that pixel."""
    reach = int(np.ceil(reach_px))
    top, left = max(0, y - reach), max(0, x - reach)
    bottom, right = min(shape[0], y + reach + 1), min(shape[1], x + reach + 1)
    dx, dy = np.arange(left - x, right - x, dtype=np.float32), np.arange(top - y, bottom - y, dtype=np.float32)
    return (slice(top, bottom), slice(left, right)), dx[None, :], dy[:, None]


def _stamp(rng: np.random.Generator, lesion: Lesion, skin: Field, mm: float, radius_scale: float) -> _Stamp:
    kind = LESIONS[lesion.kind]
    size = rng.lognormal(0, kind.radius_sigma)
    radius = float(np.clip(size * kind.radius_mm * radius_scale, *_RADIUS_LIMITS_MM)) * mm
    aspect, direction = _elongation(rng, lesion)
    window, dx, dy = _around(skin.shape, lesion.x, lesion.y, _REACH * radius + 2)
    dx, dy = dx - rng.uniform(-0.5, 0.5), dy - rng.uniform(-0.5, 0.5)
    cos, sin = float(np.cos(direction)), float(np.sin(direction))
    along, across = dx * cos + dy * sin, (dy * cos - dx * sin) / aspect
    contour = radius * _contour(rng, np.arctan2(across, along))
    return _Stamp(
        window, radius, float(np.clip(size, *_DEPTH_LIMITS)), np.sqrt(along**2 + across**2) / contour, skin[window]
    )


def _elongation(rng: np.random.Generator, lesion: Lesion) -> tuple[float, float]:
    """Return width over length, and the direction of the length, which is similar for all strokes of a rash."""
    aspect = rng.uniform(*LESIONS[lesion.kind].aspect)
    if lesion.direction is None:
        return aspect, rng.uniform(0, np.pi)
    return aspect, lesion.direction + rng.normal(0, 0.5)


def _contour(rng: np.random.Generator, angle: Field) -> Field:
    """Return the radius of an irregular outline around 1: harmonics 2 to 5."""
    waves = (rng.normal(0, 0.10 / j) * np.cos(j * angle + rng.uniform(0, 2 * np.pi)) for j in range(2, 6))
    return np.clip(1 + sum(waves), 0.6, 1.5)


def _add_lesion(
    rng: np.random.Generator, maps: Pigments, kind: LesionType, stamp: _Stamp, density_scale: float, shows: Visibility
) -> None:
    scale = density_scale * rng.uniform(0.55, 1.15) * stamp.depth
    own_scale = min(scale, 1.0) if kind.dense and kind.share else scale  # moles and comedones are dark enough
    at, distance, skin = stamp.window, stamp.distance, stamp.skin
    body = sigmoid((_EDGE - distance) / (0.55 * kind.softness))
    halo = np.clip(np.exp(-((distance / _HALO) ** 2)) - _HALO_END, 0, None) / (1 - _HALO_END)
    brown = maps.eumelanin if kind.dense else maps.melanin
    brown[at] += rng.uniform(*kind.melanin) * own_scale * shows.brown * body * skin
    redness = rng.uniform(*kind.haemoglobin) * scale * shows.redness
    maps.haemoglobin[at] += redness * ((1 - kind.halo) * body + kind.halo * halo) * skin
    maps.bumps[at] += 0.16 * kind.relief * scale * stamp.radius_px * np.exp(-((distance / 0.9) ** 2)) * skin
    if kind.stretched:
        maps.stretched[at] = np.maximum(maps.stretched[at], _STRETCH * body * skin)
    if kind.pus:
        maps.pus[at] = np.maximum(maps.pus[at], _PUS * np.exp(-((distance / 0.42) ** 4)) * skin)


def _redden(rng: np.random.Generator, maps: Pigments, rash: Rash, skin: Field, mm: float, scale: float) -> None:
    """Add the mottled redness under a rash."""
    spread = _RASH_SPREAD * rash.radius_px
    at, dx, dy = _around(skin.shape, rash.x, rash.y, _DIFFUSE_REACH * spread)
    shape = skin[at].shape
    uneven = np.clip(0.5 + 0.7 * bandpass(rng, (shape[0], shape[1]), 0.5 * mm, 2.2 * mm), 0, 2)
    maps.haemoglobin[at] += rng.uniform(0.05, 0.17) * scale * np.exp(-(dx**2 + dy**2) / spread**2) * uneven * skin[at]


def _add_patch(
    rng: np.random.Generator, maps: Pigments, patch: Patch, skin: Field, mm: float, scale: float, shows: Visibility
) -> None:
    at, dx, dy = _around(skin.shape, patch.x, patch.y, _DIFFUSE_REACH * patch.radius_px / min(patch.stretch, 1))
    shape = skin[at].shape
    uneven = np.clip(0.6 + 0.5 * smooth_noise(rng, (shape[0], shape[1]), 2.5 * mm), 0, 2)
    field = scale * np.exp(-(dx**2 + (dy * patch.stretch) ** 2) / patch.radius_px**2) * uneven * skin[at]
    if patch.red:
        maps.haemoglobin[at] += rng.uniform(0.04, 0.14) * shows.redness * field
    else:
        maps.melanin[at] += rng.uniform(0.03, 0.10) * shows.brown * field
