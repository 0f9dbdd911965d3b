"""Draws who is in the picture, in which light and by which camera, as often as people look so."""

import numpy as np

from benchmark.synthetic_faces.attributes import (
    Adornments,
    Attributes,
    Camera,
    Complexion,
    Earrings,
    Eyes,
    FaceShape,
    Glasses,
    Hair,
    Light,
    Mole,
    Pattern,
    Pose,
    Style,
)
from benchmark.synthetic_faces.raster import HAEMOGLOBIN, MELANIN, Field, lab_to_linear

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
_PATTERNS: tuple[Pattern, ...] = ("plain", "stripes", "checks", "dots")
_PATTERN_SHARE = (0.55, 0.17, 0.16, 0.12)
_LIPSTICK_SHARE, _OPEN_MOUTH_SHARE, _GLASSES_SHARE, _EARRINGS_SHARE, _MAKE_UP_SHARE = 0.3, 0.35, 0.2, 0.25, 0.3
# CIE Lab of rims: black, brown, gold, silver, red, blue; of earrings: gold, silver, pearl, red, blue, green.
_RIM_LAB = np.array([[6, 0, 0], [24, 14, 18], [66, 8, 38], [72, 0, 2], [32, 44, 26], [28, 8, -34]])
_EARRING_LAB = np.array([[70, 8, 42], [82, 0, 2], [90, 1, 6], [34, 52, 30], [34, 12, -44], [42, -36, 14]])


def choose_attributes(rng: np.random.Generator) -> Attributes:
    """Draw a person, the light, the surroundings and the camera."""
    complexion = choose_complexion(rng)
    return Attributes(
        pose=choose_pose(rng),
        shape=choose_shape(rng),
        complexion=complexion,
        lip_colour=choose_lip_colour(rng),
        eyes=choose_eyes(rng, complexion.tone),
        hair=choose_hair(rng, complexion.tone),
        light=choose_light(rng),
        backdrop_colour=lab_to_linear([rng.uniform(8, 92), rng.normal(3, 13), rng.normal(6, 17)]),
        cloth_colour=lab_to_linear([rng.uniform(8, 88), rng.normal(2, 20), rng.normal(0, 22)]),
        pattern=_PATTERNS[rng.choice(len(_PATTERNS), p=_PATTERN_SHARE)],
        wrinkles=float(rng.gamma(1.5, 1.2)),
        adornments=choose_adornments(rng, complexion.tone),
        camera=choose_camera(rng, complexion.tone),
    )


def choose_pose(rng: np.random.Generator) -> Pose:
    """Draw a pose, from the whole head (0.25 of the side) to a face that fills the picture (0.48)."""
    return Pose(
        half_width=rng.uniform(0.25, 0.48),
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
        beard=float(np.exp(rng.uniform(-3, 0.2))) if rng.random() < _BEARD_SHARE else 0.0,
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


def choose_lip_colour(rng: np.random.Generator) -> Field:
    """Draw the optical density (3,) that the lips add to the skin: natural, or lipstick from pale to dark red."""
    if rng.random() < _LIPSTICK_SHARE:
        paint = -np.log(lab_to_linear([rng.uniform(22, 58), rng.uniform(18, 58), rng.uniform(-8, 32)]))
        return (rng.uniform(0.4, 1.0) * paint).astype(np.float32)
    # The last term is the sheen of the lips.
    return rng.uniform(0.5, 1.5) * HAEMOGLOBIN + rng.uniform(0, 0.25) * MELANIN - rng.uniform(0.05, 0.18)


def choose_adornments(rng: np.random.Generator, tone: float) -> Adornments:
    """Draw what a person wears and shows; a flush of make-up shows less on dark skin."""
    has_make_up = rng.random() < _MAKE_UP_SHARE
    shadow_lab = [rng.uniform(25, 60), rng.normal(5, 14), rng.normal(0, 16)]
    return Adornments(
        mouth_opening=rng.uniform(0.03, 0.16) if rng.random() < _OPEN_MOUTH_SHARE else 0.0,
        tooth_colour=lab_to_linear([rng.uniform(68, 90), rng.uniform(-1, 4), rng.uniform(4, 22)]),
        loose_hairs=int(rng.integers(2, 16)) if rng.random() < 0.4 else 0,
        moles=tuple(_choose_mole(rng) for _ in range(rng.poisson(0.6))),
        eye_shadow=-rng.uniform(0.2, 0.8) * np.log(lab_to_linear(shadow_lab)) * has_make_up,
        blush=rng.uniform(0.1, 0.6) * (1 - tone / 8) if has_make_up else 0.0,
        glasses=_choose_glasses(rng) if rng.random() < _GLASSES_SHARE else None,
        earrings=_choose_earrings(rng) if rng.random() < _EARRINGS_SHARE else None,
    )


def _choose_mole(rng: np.random.Generator) -> Mole:
    return Mole(rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 1.0), rng.uniform(0.014, 0.035), rng.uniform(0.5, 1.6))


def _choose_glasses(rng: np.random.Generator) -> Glasses:
    colour = lab_to_linear(_RIM_LAB[rng.choice(len(_RIM_LAB), p=(0.45, 0.2, 0.1, 0.12, 0.07, 0.06))])
    return Glasses(
        colour=colour,
        half_width=rng.uniform(0.28, 0.36),
        half_height=rng.uniform(0.18, 0.30),
        power=rng.uniform(2, 6),
        thickness=rng.uniform(0.014, 0.05),
        down=rng.uniform(0.0, 0.06),
        reflection=rng.uniform(0, 0.25),
        gloss=rng.uniform(0, 1),
    )


def _choose_earrings(rng: np.random.Generator) -> Earrings:
    colour = lab_to_linear(_EARRING_LAB[rng.integers(len(_EARRING_LAB))])
    is_hoop = bool(rng.random() < 0.35)
    return Earrings(
        colour, rng.uniform(0.10, 0.22) if is_hoop else rng.uniform(0.02, 0.05), rng.uniform(0, 0.3), is_hoop
    )


def choose_camera(rng: np.random.Generator, tone: float) -> Camera:
    """Draw a camera; dark skin is exposed a little longer."""
    return Camera(
        exposure=float(np.exp(rng.normal(0.08, 0.22))) * (1 + 0.02 * tone),
        white_balance=np.exp(rng.normal((0.05, 0, -0.06), (0.08, 0.02, 0.14))).astype(np.float32),
        contrast=rng.uniform(0, 0.7),
        saturation=rng.uniform(0.75, 1.45),
        sharpening=rng.uniform(0.2, 1.8) if rng.random() < 0.75 else 0.0,
        flare=rng.uniform(0, 0.016),
        vignette=rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0,
        noise_levels=rng.uniform(0.3, 2.0),
        jpeg_quality=int(rng.integers(70, 96)) if rng.random() < 0.6 else 0,
    )
