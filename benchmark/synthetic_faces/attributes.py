"""Who is in the picture: the attributes of a face, its light and its surroundings, drawn at random.

They do not depend on the size of the picture. Lengths are in face units: half the width of a face, 70 mm, is 1.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.synthetic_faces.raster import HAEMOGLOBIN, MELANIN, Field, lab_to_linear

Style = Literal["short", "long", "bald"]
# Albedo of skin, CIE Lab, roughly Fitzpatrick types I to VI (typology angle 58, 46, 34, 17, -20, -55 degrees).
_TONES_LAB = np.array([[77, 10, 15], [71, 12, 18], [65, 13, 20], [57, 14, 21], [43, 14, 19], [31, 11, 13]], float)
_TONE_SPREAD_LAB = (1.5, 1.2, 1.5)
_BEARD_SHARE = 0.35  # of all faces
# CIE Lab of brown, hazel, green, blue and dark brown irises, and how common each is on light and on dark skin.
_IRIS_LAB = np.array([[28, 14, 22], [40, 12, 26], [46, -8, 14], [52, -3, -14], [22, 8, 10]])
_IRIS_SHARE_LIGHT, _IRIS_SHARE_DARK = (0.42, 0.16, 0.12, 0.16, 0.14), (0.55, 0.10, 0.01, 0.01, 0.33)
_LIGHT_EYES_BELOW = 2.5  # tone
# CIE Lab of black, dark brown, brown, blond, grey and red hair, and how common each is on light and on dark skin.
_HAIR_LAB = np.array([[9, 2, 3], [18, 6, 8], [32, 10, 18], [58, 6, 26], [55, 0, 3], [36, 24, 28]])
_HAIR_SHARE_LIGHT, _HAIR_SHARE_DARK = (0.42, 0.26, 0.14, 0.08, 0.06, 0.04), (0.75, 0.18, 0.03, 0.01, 0.03, 0)
_HAIR_SPREAD_LAB = (1.5, 1, 1.5)
_LIGHT_HAIR_BELOW = 3.0  # tone
_STYLES: tuple[Style, ...] = ("short", "long", "bald")
_STYLE_SHARE = (0.50, 0.46, 0.04)


@dataclass(frozen=True)
class Pose:
    """The head in the picture: lengths in parts of the picture's side, angles in radians."""

    half_width: float
    centre_x: float
    centre_y: float
    tilt: float
    yaw: float


@dataclass(frozen=True)
class FaceShape:
    """Proportions of a face, in face units; `eye_width` and `mouth_width` are halves."""

    eye_u: float
    eye_v: float
    eye_width: float
    eye_height: float
    nose_v: float
    nose_width: float
    mouth_v: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    jaw_power: float
    brow_thickness: float
    brow_arch: float


@dataclass(frozen=True)
class Complexion:
    """Skin of one face.

    Attributes:
        tone: from 0 (type I) to 5 (type VI).
        density: optical density (3,).
        flush: strength of the flush.
        beard: optical density of the beard; 0 is none.
        roughness: factor of the fine structure.
    """

    tone: float
    density: Field
    flush: float
    beard: float
    roughness: float


@dataclass(frozen=True)
class Eyes:
    """Linear colour (3,) and radius of the iris, and where the eyes look, in face units."""

    iris_colour: Field
    iris_radius: float
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Hair:
    """Linear colour (3,), style and outline of the hair; lengths in face units."""

    colour: Field
    style: Style
    parting: float
    hairline: float
    volume: float
    free_width: float
    dip: float
    wave: float
    length: float


@dataclass(frozen=True)
class Light:
    """A key light and ambient light.

    Attributes:
        direction: unit vector to the key light: right, down, towards the camera.
        colour: linear colour (3,) of the key light.
        ambient: ambient light in [0, 1].
        oil: how glossy the skin is.
    """

    direction: tuple[float, float, float]
    colour: Field
    ambient: float
    oil: float

    @property
    def side(self) -> float:
        """-1 if the light comes from the left, 1 if from the right."""
        return float(np.sign(self.direction[0]))


@dataclass(frozen=True)
class Attributes:
    """Everything about a portrait that does not depend on its size.

    Attributes:
        pose: the head in the picture.
        shape: proportions of the face.
        complexion: the skin.
        lip_colour: optical density (3,) that the lips add to the skin.
        eyes: irises and gaze.
        hair: the hair of the head.
        light: key light and ambient light.
        backdrop_colour: linear, (3,).
        cloth_colour: linear, (3,).
        exposure: factor of linear light.
        noise_levels: standard deviation of the sensor's noise in 8-bit levels.
    """

    pose: Pose
    shape: FaceShape
    complexion: Complexion
    lip_colour: Field
    eyes: Eyes
    hair: Hair
    light: Light
    backdrop_colour: Field
    cloth_colour: Field
    exposure: float
    noise_levels: float


def choose_attributes(rng: np.random.Generator) -> Attributes:
    """Draw a person, the light, the surroundings and the camera."""
    complexion = choose_complexion(rng)
    return Attributes(
        pose=choose_pose(rng),
        shape=choose_shape(rng),
        complexion=complexion,
        # The last term is the sheen of the lips.
        lip_colour=rng.uniform(0.65, 1.2) * HAEMOGLOBIN + rng.uniform(0, 0.10) * MELANIN - rng.uniform(0.08, 0.18),
        eyes=choose_eyes(rng, complexion.tone),
        hair=choose_hair(rng, complexion.tone),
        light=choose_light(rng),
        backdrop_colour=lab_to_linear([rng.uniform(18, 85), rng.normal(0, 12), rng.normal(0, 16)]),  # muted
        cloth_colour=lab_to_linear([rng.uniform(12, 80), rng.normal(0, 18), rng.normal(0, 20)]),
        exposure=rng.uniform(0.95, 1.35) * (1 + 0.02 * complexion.tone),  # brighter for dark skin
        noise_levels=rng.uniform(0.6, 1.6),
    )


def choose_pose(rng: np.random.Generator) -> Pose:
    """Draw a pose, from the whole head (0.27 of the side) to a face that fills the picture (0.49)."""
    return Pose(
        half_width=rng.uniform(0.27, 0.49),
        centre_x=rng.uniform(0.46, 0.54),
        centre_y=rng.uniform(0.50, 0.56),
        tilt=rng.normal(0, 0.06),
        yaw=rng.normal(0, 0.10),
    )


def choose_shape(rng: np.random.Generator) -> FaceShape:
    """Draw proportions around those of an average adult face."""

    def around(mean: float, spread: float) -> float:
        return mean * (1 + float(np.clip(rng.normal(0, spread), -3 * spread, 3 * spread)))

    return FaceShape(
        eye_u=around(0.40, 0.04),
        eye_v=-0.20 + rng.normal(0, 0.015),
        eye_width=around(0.185, 0.06),
        eye_height=around(0.075, 0.18),
        nose_v=around(0.30, 0.08),
        nose_width=around(0.17, 0.15),
        mouth_v=around(0.64, 0.03),
        mouth_width=around(0.31, 0.10),
        upper_lip=around(0.078, 0.2),
        lower_lip=around(0.108, 0.2),
        jaw_power=rng.uniform(2.05, 2.9) + 3 * rng.uniform(-0.06, 0.10),
        brow_thickness=around(0.045, 0.25),
        brow_arch=around(0.05, 0.3),
    )


def choose_complexion(rng: np.random.Generator) -> Complexion:
    """Draw a complexion. All tones are equally likely; a flush shows less on dark skin."""
    tone = rng.uniform(0, 5)
    lab = [np.interp(tone, range(6), _TONES_LAB[:, axis]) for axis in range(3)]
    return Complexion(
        tone=tone,
        density=-np.log(lab_to_linear(lab + rng.normal(0, _TONE_SPREAD_LAB))),
        flush=rng.uniform(0.6, 2.2) * (1 - tone / 6),
        beard=rng.uniform(0.05, 0.30) if rng.random() < _BEARD_SHARE else 0.0,
        roughness=rng.uniform(0.5, 1.5),
    )


def choose_eyes(rng: np.random.Generator, tone: float) -> Eyes:
    """Draw eyes, with iris colours as common as on skin of that tone."""
    share = _IRIS_SHARE_LIGHT if tone < _LIGHT_EYES_BELOW else _IRIS_SHARE_DARK
    colour = lab_to_linear(_IRIS_LAB[rng.choice(len(share), p=share)])
    radius = 0.082 * (1 + rng.normal(0, 0.02))
    return Eyes(colour, radius, (rng.normal(0, 0.012), rng.normal(0, 0.012)))


def choose_hair(rng: np.random.Generator, tone: float) -> Hair:
    """Draw hair, with colours as common as on skin of that tone."""
    share = _HAIR_SHARE_LIGHT if tone < _LIGHT_HAIR_BELOW else _HAIR_SHARE_DARK
    lab = _HAIR_LAB[rng.choice(len(share), p=share)] + rng.normal(0, _HAIR_SPREAD_LAB)
    return Hair(
        colour=lab_to_linear(lab),
        style=_STYLES[rng.choice(len(_STYLES), p=_STYLE_SHARE)],
        parting=rng.uniform(-0.55, 0.55),
        hairline=1.12 + rng.normal(0, 0.06),
        volume=rng.uniform(0.06, 0.26),
        free_width=rng.uniform(0.85, 0.93),
        dip=0.10 * rng.uniform(0, 1),
        wave=0.05 * rng.uniform(0, 1),
        length=rng.uniform(0.9, 2.3),
    )


def choose_light(rng: np.random.Generator) -> Light:
    """Draw a soft daylight or room light from the front, left or right."""
    azimuth, elevation = rng.uniform(-1.05, 1.05), rng.uniform(0.15, 0.85)
    direction = (np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    return Light(
        direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        colour=np.array([1, rng.uniform(0.93, 1.0), rng.uniform(0.84, 1.02)], np.float32),
        ambient=rng.uniform(0.30, 0.52),
        oil=rng.uniform(0.35, 1.1),
    )
