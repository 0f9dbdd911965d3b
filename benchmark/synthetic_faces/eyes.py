"""Eyes: iris with radial streaks, pupil, white, lids, and the catch light."""

from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.colour import Field, flat, lab_to_linear, over
from benchmark.synthetic_faces.compositing import Layer
from benchmark.synthetic_faces.geometry import FaceShape, Frame
from benchmark.synthetic_faces.noise import gaussian, sample, sigmoid, smooth_noise
from benchmark.synthetic_faces.shading import Light

# CIE Lab of brown, hazel, green, blue and dark brown irises, and how common each is on light and on dark skin.
_IRIS_LAB = np.array([[28, 14, 22], [40, 12, 26], [46, -8, 14], [52, -3, -14], [22, 8, 10]])
_IRIS_SHARE_LIGHT, _IRIS_SHARE_DARK = (0.42, 0.16, 0.12, 0.16, 0.14), (0.55, 0.10, 0.01, 0.01, 0.33)
_LIGHT_SKIN_BELOW = 2.5  # tone
_WHITE = np.array([0.50, 0.455, 0.43], np.float32)
_VEINS = np.array([0.3, 1, 1], np.float32)  # how much vessels darken red, green and blue of the white
_LID_LINE = np.array([0.03, 0.02, 0.017], np.float32)
_PUPIL_SHARE, _PUPIL_LIGHT = 0.42, 0.008  # of the iris's radius; linear light
TILT = 0.05  # the outer corner is higher than the inner


@dataclass(frozen=True)
class Eyes:
    """Linear colour (3,) and radius of the iris, and where the eyes look, in face units."""

    iris_colour: Field
    iris_radius: float
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Eye:
    """One painted eye: the ball, the lines of the lids over it, and how little skin there is, `H W` in [0, 1]."""

    ball: Layer
    lids: Layer
    not_skin: Field


@dataclass(frozen=True)
class _Opening:
    """Coordinates in an eye in face units, `right` and `down` from its middle, and the lids' edges as values of `down`;
    `along` is -1 and 1 at the corners."""

    right: Field
    down: Field
    along: Field
    upper: Field
    lower: Field


def choose_eyes(rng: np.random.Generator, tone: float) -> Eyes:
    """Iris colours as common as on skin of that tone."""
    share = _IRIS_SHARE_LIGHT if tone < _LIGHT_SKIN_BELOW else _IRIS_SHARE_DARK
    colour = lab_to_linear(_IRIS_LAB[rng.choice(len(share), p=share)])
    radius = 0.082 * (1 + rng.normal(0, 0.02))
    return Eyes(colour, radius, (rng.normal(0, 0.012), rng.normal(0, 0.012)))


def upper_lid(a: Field, eye_height: float) -> Field:
    """Edge of the upper lid above the middle of the eye, in face units, at `a` in [-1, 1] between the corners."""
    return -eye_height * np.clip(1 - np.abs(a) ** 2.1, 0, None) ** 0.85


def paint_eye(
    rng: np.random.Generator, frame: Frame, lambert: Field, shape: FaceShape, eyes: Eyes, light: Light, side: int
) -> Eye:
    """The eye on one side (-1 left, 1 right) of a face whose skin meets the light at `lambert`."""
    window = frame.window(side * shape.eye_u, shape.eye_v, 2 * shape.eye_width + 0.05, 2.8 * shape.eye_height + 0.05)
    part = frame.crop(window)
    eye = _opening(part, shape, side)
    ball = _eyeball(rng, part, eye, eyes) * _lid_shadow(eye) * (0.50 + 0.55 * np.clip(lambert[window], 0, 1))
    ball += 0.9 * _catch_light(eye, eyes, light)
    distance = np.sqrt((eye.along / 1.12) ** 2 + (eye.down / (1.65 * shape.eye_height)) ** 2)
    return Eye(
        ball=Layer(window, ball, _inside(part, eye)),
        lids=Layer(window, flat(_LID_LINE), _lid_lines(eye)),
        not_skin=sigmoid((1.18 - distance) / 0.06),
    )


def _opening(part: Frame, s: FaceShape, side: int) -> _Opening:
    right = part.u - side * s.eye_u
    along = right / s.eye_width
    lower = 0.62 * s.eye_height * np.clip(1 - np.abs(along) ** 2.3, 0, None)
    return _Opening(right, part.v - s.eye_v + side * TILT * right, along, upper_lid(along, s.eye_height), lower)


def _inside(part: Frame, eye: _Opening) -> Field:
    depth = np.minimum(eye.down - eye.upper, eye.lower - eye.down)
    return sigmoid(depth * part.face_px / 1.1) * (np.abs(eye.along) < 1.02)


def _eyeball(rng: np.random.Generator, part: Frame, eye: _Opening, eyes: Eyes) -> Field:
    right, down = eye.right - eyes.gaze[0], eye.down + 0.008 - eyes.gaze[1]
    radius = np.sqrt(right**2 + down**2)
    vessels = 1 - 0.04 * np.clip(smooth_noise(rng, part.shape, 1.2 * part.pixels_per_mm), 0, None)
    white = flat(_WHITE) * (1 - 0.35 * np.abs(eye.along) ** 3) * vessels ** flat(_VEINS)
    iris = flat(eyes.iris_colour) * _iris_pattern(rng, radius / eyes.iris_radius, np.arctan2(down, right))
    ball = over(white, iris, sigmoid((eyes.iris_radius - radius) * part.face_px / 1.4))
    pupil = sigmoid((_PUPIL_SHARE * eyes.iris_radius - radius) * part.face_px / 1.3)
    return over(ball, np.full_like(ball, _PUPIL_LIGHT), pupil)


def _iris_pattern(rng: np.random.Generator, radius: Field, angle: Field) -> Field:
    """Brightness: streaks from the pupil outwards and a dark rim; `radius` is 1 at the rim."""
    inner = np.clip(radius, 0, 1)
    polar = 4 * gaussian(rng.standard_normal((24, 180), np.float32), (3, 1), "wrap")
    streaks = np.clip(sample(polar, inner * 23, (angle + np.pi) / (2 * np.pi) * 179), -1, 1)
    return (1 + 0.55 * streaks) * (1.25 - 0.9 * inner**6)


def _lid_shadow(eye: _Opening) -> Field:
    return 0.45 + 0.55 * np.clip((eye.down - eye.upper) / 0.07, 0, 1)


def _catch_light(eye: _Opening, eyes: Eyes, light: Light) -> Field:
    right = eye.right - eyes.gaze[0] - 0.035 * light.direction[0]
    return np.exp(-((right / 0.015) ** 2) - ((eye.down - eyes.gaze[1] + 0.035) / 0.017) ** 2)


def _lid_lines(eye: _Opening) -> Field:
    """Edges of the lids and the crease above the eye as darkness in [0, 0.9]."""
    outwards = np.abs(eye.along)
    upper = 0.80 * np.exp(-(((eye.down - eye.upper + 0.006) / 0.011) ** 2)) * sigmoid((1.08 - outwards) / 0.04)
    lower = 0.28 * np.exp(-(((eye.down - eye.lower) / 0.008) ** 2)) * sigmoid((1.0 - outwards) / 0.05)
    crease = np.exp(-(((eye.down - 1.35 * eye.upper + 0.045) / 0.010) ** 2)) * sigmoid((1.0 - outwards) / 0.08)
    return np.clip(upper + lower + 0.33 * crease, 0, 0.9)
