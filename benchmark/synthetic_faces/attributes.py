"""Who is in the picture, drawn by lot."""

from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.background import Setting, choose_setting
from benchmark.synthetic_faces.colour import Field
from benchmark.synthetic_faces.eyes import Eyes, choose_eyes
from benchmark.synthetic_faces.geometry import FaceShape, Pose, choose_pose, choose_shape
from benchmark.synthetic_faces.hair import Hair, choose_hair
from benchmark.synthetic_faces.mouth import choose_lip_colour
from benchmark.synthetic_faces.shading import Light, choose_light
from benchmark.synthetic_faces.skin_tone import Complexion, choose_complexion


@dataclass(frozen=True)
class Camera:
    """Exposure as a factor of linear light, and the standard deviation of the sensor's noise in 8-bit levels."""

    exposure: float
    noise_levels: float


@dataclass(frozen=True)
class Look:
    """Everything about a portrait that does not depend on its size."""

    pose: Pose
    shape: FaceShape
    complexion: Complexion
    lip_colour: Field
    eyes: Eyes
    hair: Hair
    light: Light
    setting: Setting
    camera: Camera


def choose_look(rng: np.random.Generator) -> Look:
    """A person in a light, before a backdrop."""
    complexion = choose_complexion(rng)
    brighter_for_dark_skin = 1 + 0.02 * complexion.tone
    return Look(
        pose=choose_pose(rng),
        shape=choose_shape(rng),
        complexion=complexion,
        lip_colour=choose_lip_colour(rng),
        eyes=choose_eyes(rng, complexion.tone),
        hair=choose_hair(rng, complexion.tone),
        light=choose_light(rng),
        setting=choose_setting(rng),
        camera=Camera(rng.uniform(0.95, 1.35) * brighter_for_dark_skin, rng.uniform(0.6, 1.6)),
    )
