"""Light on the skin: one key light, ambient light, occlusion in hollows, two lobes of gloss.

Red scatters furthest in skin, so each channel's light wraps around the form by another amount.
"""

from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.colour import Field, flat
from benchmark.synthetic_faces.geometry import Bump, Frame, both_sides, bump_field
from benchmark.synthetic_faces.noise import blur

_SLOPE = 0.62  # less than 1 flattens the form as a long lens does
_WRAP = np.array([0.52, 0.36, 0.28], np.float32)
_SKY = np.array([0.96, 0.98, 1.04], np.float32)


@dataclass(frozen=True)
class Light:
    """Key light: unit `direction` (right, down, towards the camera) and linear `colour` (3,); `ambient` light in
    [0, 1]; `oil`, how glossy the skin is."""

    direction: tuple[float, float, float]
    colour: Field
    ambient: float
    oil: float

    @property
    def side(self) -> float:
        """-1 if the light comes from the left, 1 if from the right."""
        return float(np.sign(self.direction[0]))


@dataclass(frozen=True)
class Surface:
    """How the face meets the light, each `H W`: `lambert` (normal . light), `gloss` (normal . half vector, not
    negative), `upward` in [0, 1] (1 faces the sky) and `open` in [0, 1] (1 is not occluded)."""

    lambert: Field
    gloss: Field
    upward: Field
    open: Field


def choose_light(rng: np.random.Generator) -> Light:
    """A soft daylight or room light from the front, left or right."""
    azimuth, elevation = rng.uniform(-1.05, 1.05), rng.uniform(0.15, 0.85)
    direction = (np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    return Light(
        direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        colour=np.array([1, rng.uniform(0.93, 1.0), rng.uniform(0.84, 1.02)], np.float32),
        ambient=rng.uniform(0.30, 0.52),
        oil=rng.uniform(0.35, 1.1),
    )


def meet_light(frame: Frame, form: Field, relief: Field, light: Light) -> Surface:
    """Surface of a height `form + relief` (face units) under a light; hollows are found in `form` alone."""
    slope_y, slope_x = np.gradient((form + relief) * (_SLOPE * frame.face_px))
    nz = 1 / np.sqrt(slope_x**2 + slope_y**2 + 1)
    nx, ny = -slope_x * nz, -slope_y * nz
    x, y, z = light.direction
    length = float(np.sqrt(x * x + y * y + (z + 1) ** 2))
    hollow = np.clip(blur(form, 0.07 * frame.face_px) - form, 0, 1)
    return Surface(
        lambert=nx * x + ny * y + nz * z,
        gloss=np.clip((nx * x + ny * y + nz * (z + 1)) / length, 0, 1),
        upward=0.5 - 0.5 * ny,
        open=np.clip(1 - 2.3 * hollow, 0.35, 1),
    )


def shade(surface: Surface, light: Light) -> Field:
    """Light that reaches the skin, planes `3 H W`."""
    wrapped = np.clip((surface.lambert + flat(_WRAP)) / flat(1 + _WRAP), 0, None)
    key = wrapped * np.sqrt(np.sqrt(wrapped))  # to the power 1.25
    sky = light.ambient * (0.75 + 0.35 * surface.upward)
    return (sky * flat(_SKY) + (1.05 - light.ambient) * key * flat(light.colour)) * surface.open


def specular(frame: Frame, surface: Surface, light: Light) -> Field:
    """Gloss of the skin, a broad and a narrow lobe; oily on forehead, nose and cheeks."""
    cheeks = bump_field(frame, both_sides(Bump(0.55, 0.05, 0.25, 0.22, 0.6)))
    oily = 0.35 + 0.65 * np.clip(np.exp(-((frame.u / 0.28) ** 2)) + cheeks, 0, 1)
    return light.oil * oily * (0.10 * surface.gloss**22 + 0.11 * surface.gloss**70)
