"""Damage of a portrait, and how to undo it: the degraded picture with its true restoring maps.

The maps are the restoring ones: target = K * degraded + D + degraded, with K the gain and D the spots. The spots are
drawn first, D is what they took away, and the degraded picture is solved from the equation, so it holds exactly until
sensor noise and rounding to 8 bits are added (a residual of about 1.2, 99 % below 2.8 levels).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.synthetic_faces.lesion_rendering import Pigments, draw_pigments, mottling, skin_brightness, visibility
from benchmark.synthetic_faces.lesions import Preset, plan_damage
from benchmark.synthetic_faces.portrait import Portrait
from benchmark.synthetic_faces.raster import (
    LUMINANCE,
    Field,
    blur,
    flat,
    gaussian,
    lab_to_linear,
    over,
    smooth_noise,
    to_linear,
    to_srgb,
)

_PORES_MM = 1.0  # what is finer is lost where the skin is stretched
_LENS_BLUR_PX = 0.35  # pigment is seen through a lens, too; without it the finest specks break up into pixels
_BUMP_CONTRAST = 0.55
_PUS_OPACITY = 0.65


@dataclass(frozen=True)
class Damage:
    """A portrait before noise and rounding, each float32 `H W 3`: target = gain * degraded + spots + degraded."""

    degraded: Field
    gain: Field
    spots: Field


@dataclass(frozen=True)
class DegradedPortrait:
    """A pair, uint8 `H W 3` each, with its true `gain` (K) and `spots` (D), float32 `H W 3`."""

    degraded: NDArray[np.uint8]
    target: NDArray[np.uint8]
    gain: Field
    spots: Field


def degrade(portrait: Portrait, preset: Preset, rng: np.random.Generator) -> DegradedPortrait:
    """Return the portrait with spots, an uneven gain and sensor noise; all randomness comes from `rng`."""
    damage = damage_portrait(portrait, preset, rng)
    noise = preset.noise_levels / 255 * rng.standard_normal(damage.degraded.shape, np.float32)
    return DegradedPortrait(_to_levels(damage.degraded + noise), _to_levels(portrait.image), damage.gain, damage.spots)


def damage_portrait(portrait: Portrait, preset: Preset, rng: np.random.Generator) -> Damage:
    """Return the damage without noise and rounding; `spots` is exactly 0 outside bare skin and lesions.

    The degraded picture is at most 1 (white), and the equation holds there, too.
    """
    spots = _spots(portrait, preset, rng)
    gain = _gain(rng, portrait.skin.shape, preset)
    degraded = (portrait.image - spots) / (1 + gain)
    # A sensor cannot record more than white: there, K is what still restores the target.
    gain = np.where(degraded > 1, portrait.image - spots - 1, gain)
    return Damage(np.minimum(degraded, 1), gain, spots)


def _to_levels(image: Field) -> NDArray[np.uint8]:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _spots(portrait: Portrait, preset: Preset, rng: np.random.Generator) -> Field:
    target = np.ascontiguousarray(portrait.image.transpose(2, 0, 1))
    linear = to_linear(target)
    brightness = skin_brightness(linear, portrait.skin)
    plan = plan_damage(rng, portrait, preset)
    pigments = draw_pigments(rng, plan, portrait.skin, portrait.pixels_per_mm, preset, visibility(brightness))
    damaged = _apply(rng, linear, pigments, brightness, portrait.pixels_per_mm)
    spots = (target - to_srgb(damaged)) * _touched(pigments, portrait.skin)
    return np.ascontiguousarray(spots.transpose(1, 2, 0))


def _apply(rng: np.random.Generator, linear: Field, pigments: Pigments, brightness: float, mm: float) -> Field:
    """Return damaged skin in linear light, planes `3 H W`; `mm` is a millimetre in pixels."""
    poreless = np.stack([blur(plane, _PORES_MM * mm) for plane in linear])
    shape = pigments.bumps.shape
    density = pigments.density(mottling(rng, (shape[0], shape[1]), mm))
    absorbed = np.exp(-np.stack([gaussian(plane, _LENS_BLUR_PX) for plane in density]))
    skin = over(linear, poreless, pigments.stretched) * absorbed * _bump_shading(rng, pigments.bumps)
    pus = _PUS_OPACITY * _pus_light(linear, brightness) + (1 - _PUS_OPACITY) * skin
    return over(skin, pus, pigments.pus)


def _pus_light(linear: Field, brightness: float) -> Field:
    """Return the light of pus: pale yellow, a little lighter than the skin (in CIE Lab), shaded as the face."""
    colour = lab_to_linear([min(92.0, 100 * brightness**0.42 + 8), 3, 24])
    shading = np.clip(np.tensordot(LUMINANCE, linear, 1) / max(brightness, 1e-3), 0.4, 1.5)
    return flat(colour) * shading


def _bump_shading(rng: np.random.Generator, bumps: Field) -> Field:
    """Return the light on the bumps, 1 where the skin is flat."""
    direction = rng.uniform(0, 2 * np.pi)
    height = gaussian(bumps, 0.5)
    slope = np.gradient(height, axis=1) * math.cos(direction) + np.gradient(height, axis=0) * math.sin(direction)
    return np.clip(1 + _BUMP_CONTRAST * slope, 0.6, 1.5)


def _touched(pigments: Pigments, skin: Field) -> NDArray[np.bool_]:
    maps = (pigments.melanin, pigments.haemoglobin, pigments.eumelanin, pigments.bumps, pigments.stretched)
    return np.any([values != 0 for values in maps], 0) & (skin > 0)


def _gain(rng: np.random.Generator, shape: tuple[int, ...], preset: Preset) -> Field:
    """Return K: an error of exposure, uneven light and tint."""
    height, width = shape
    uneven = 0.7 * smooth_noise(rng, (height, width), height * rng.uniform(0.10, 0.28)) + rng.normal(0, 0.8)
    tint = rng.normal(0, 0.45, 3).astype(np.float32)
    return preset.gain_mean + preset.gain_spread * (uneven[:, :, None] + tint)
