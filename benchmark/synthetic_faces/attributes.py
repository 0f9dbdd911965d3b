"""Who is in the picture: the attributes of a face, its light, its surroundings and the camera.

They do not depend on the size of the picture. Lengths are in face units: half the width of a face, 70 mm, is 1.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.synthetic_faces.raster import Field
from benchmark.synthetic_faces.skin_tone import typology_angle

Style = Literal["short", "long", "bald"]
Pattern = Literal["plain", "stripes", "checks", "dots"]


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

    @property
    def skin_tone(self) -> float:
        """The typology angle in degrees of the reflectance: the face's own, whatever light and camera make of it."""
        return typology_angle(np.exp(-self.density))


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
class Glasses:
    """Glasses before both eyes: linear `colour` (3,) of the rims; lengths in face units.

    `power` is the exponent of the superellipse of a rim (2 is round, 8 nearly a rectangle); `down` is how far the lens
    hangs below the eye; `reflection` is the light that a lens reflects, `gloss` the shine of the rims.
    """

    colour: Field
    half_width: float
    half_height: float
    power: float
    thickness: float
    down: float
    reflection: float
    gloss: float


@dataclass(frozen=True)
class Earrings:
    """Linear `colour` (3,), radius and drop of a pair of earrings, in face units; hoops or studs."""

    colour: Field
    radius: float
    drop: float
    is_hoop: bool


@dataclass(frozen=True)
class Mole:
    """A mole that belongs to the face, which its owner keeps: place and radius in face units, optical density."""

    u: float
    v: float
    radius: float
    density: float


@dataclass(frozen=True)
class Adornments:
    """What is dark, red, bright or sharp on a face without being damage.

    Attributes:
        mouth_opening: height between the lips in face units; 0 is a closed mouth.
        tooth_colour: linear, (3,).
        loose_hairs: how many single hairs hang over the face.
        moles: moles that stay.
        eye_shadow: optical density (3,) on the upper lids.
        blush: optical density of haemoglobin on the cheeks that make-up adds.
        glasses: glasses, if any.
        earrings: earrings, if any.
    """

    mouth_opening: float
    tooth_colour: Field
    loose_hairs: int
    moles: tuple[Mole, ...]
    eye_shadow: Field
    blush: float
    glasses: Glasses | None
    earrings: Earrings | None


@dataclass(frozen=True)
class Camera:
    """How a picture was taken and developed.

    Attributes:
        exposure: factor of linear light.
        white_balance: factors of linear red, green and blue, (3,).
        contrast: strength of the S-shaped curve, 0 is none.
        saturation: factor of the colour.
        sharpening: strength of an unsharp mask.
        flare: linear light that the lens scatters over the whole picture.
        vignette: how much darker the corners are, in [0, 1].
        noise_levels: standard deviation of the sensor's noise in 8-bit levels.
        jpeg_quality: quality of libjpeg's scale; 0 is no compression.
    """

    exposure: float
    white_balance: Field
    contrast: float
    saturation: float
    sharpening: float
    flare: float
    vignette: float
    noise_levels: float
    jpeg_quality: int


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
        pattern: what the clothes look like.
        wrinkles: factor of the depth of folds and lines.
        adornments: glasses, make-up, jewellery, moles and so on.
        camera: how the picture was taken.
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
    pattern: Pattern
    wrinkles: float
    adornments: Adornments
    camera: Camera
