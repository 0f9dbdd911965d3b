"""Eyes, brows, lashes, mouth and nostrils."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.synthetic_faces.attributes import Eyes, FaceShape, Light
from benchmark.synthetic_faces.geometry import SIDES, Bump, Frame, both_sides, bump_field
from benchmark.synthetic_faces.raster import (
    Field,
    Layer,
    Window,
    bandpass,
    flat,
    gaussian,
    over,
    resize,
    sample,
    sigmoid,
    smooth_noise,
)
from benchmark.synthetic_faces.shading import Surface, mouth_seam, seam_height

_WHITE = np.array([0.50, 0.455, 0.43], np.float32)
_VEINS = np.array([0.3, 1, 1], np.float32)  # how much vessels darken red, green and blue of the white
_LID_LINE = np.array([0.03, 0.02, 0.017], np.float32)
_PUPIL_SHARE, _PUPIL_LIGHT = 0.42, 0.008  # of the iris's radius; linear light
TILT = 0.05  # the outer corner is higher than the inner
_SUPERSAMPLING = 2
_HAIRS_PER_BROW, _LASHES_PER_EYE = 330, 46
_BROW_HAIR_WIDTH, _LASH_WIDTH = 0.0042, 0.0032  # face units: 0.3 and 0.2 mm
_BROW_V = -0.415
_INSIDE = np.array([0.045, 0.02, 0.018], np.float32)  # linear colour of nostrils and of the dark between the lips


@dataclass(frozen=True)
class Eye:
    """One painted eye: the ball, the lines of the lids over it, and how little skin there is, `H W` in [0, 1]."""

    ball: Layer
    lids: Layer
    not_skin: Field


@dataclass(frozen=True)
class _Opening:
    """Coordinates in an eye, in face units.

    Attributes:
        right: distance right from the middle of the eye.
        down: distance down from it.
        along: -1 and 1 at the corners.
        upper: edge of the upper lid, as a value of `down`.
        lower: edge of the lower lid, as a value of `down`.
    """

    right: Field
    down: Field
    along: Field
    upper: Field
    lower: Field


def upper_lid(a: Field, eye_height: float) -> Field:
    """Return the edge of the upper lid above the middle of the eye, in face units; `a` is -1 and 1 at the corners."""
    return -eye_height * np.clip(1 - np.abs(a) ** 2.1, 0, None) ** 0.85


def paint_eye(
    rng: np.random.Generator, frame: Frame, lambert: Field, shape: FaceShape, eyes: Eyes, light: Light, side: int
) -> Eye:
    """Paint the eye on one side (-1 left, 1 right) of a face whose skin meets the light at `lambert`."""
    window = frame.window(side * shape.eye_u, shape.eye_v, 2 * shape.eye_width + 0.05, 2.8 * shape.eye_height + 0.05)
    part = frame.crop(window)
    eye = _opening(part, shape, side)
    lid_shadow = 0.45 + 0.55 * np.clip((eye.down - eye.upper) / 0.07, 0, 1)
    ball = _eyeball(rng, part, eye, eyes) * lid_shadow * (0.50 + 0.55 * np.clip(lambert[window], 0, 1))
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
    """Return brightness: streaks from the pupil outwards and a dark rim; `radius` is 1 at the rim."""
    inner = np.clip(radius, 0, 1)
    polar = 4 * gaussian(rng.standard_normal((24, 180), np.float32), (3, 1), "wrap")
    streaks = np.clip(sample(polar, inner * 23, (angle + np.pi) / (2 * np.pi) * 179), -1, 1)
    return (1 + 0.55 * streaks) * (1.25 - 0.9 * inner**6)


def _catch_light(eye: _Opening, eyes: Eyes, light: Light) -> Field:
    right = eye.right - eyes.gaze[0] - 0.035 * light.direction[0]
    return np.exp(-((right / 0.015) ** 2) - ((eye.down - eyes.gaze[1] + 0.035) / 0.017) ** 2)


def _lid_lines(eye: _Opening) -> Field:
    """Return the edges of the lids and the crease above the eye as darkness in [0, 0.9]."""
    outwards = np.abs(eye.along)
    upper = 0.80 * np.exp(-(((eye.down - eye.upper + 0.006) / 0.011) ** 2)) * sigmoid((1.08 - outwards) / 0.04)
    lower = 0.28 * np.exp(-(((eye.down - eye.lower) / 0.008) ** 2)) * sigmoid((1.0 - outwards) / 0.05)
    crease = np.exp(-(((eye.down - 1.35 * eye.upper + 0.045) / 0.010) ** 2)) * sigmoid((1.0 - outwards) / 0.08)
    return np.clip(upper + lower + 0.33 * crease, 0, 0.9)


@dataclass(frozen=True)
class _Hairs:
    """Hairs of one side of the face: lines from (u0, v0) to (u1, v1), their width in face units and darkness."""

    u0: NDArray[np.float64]
    v0: NDArray[np.float64]
    u1: NDArray[np.float64]
    v1: NDArray[np.float64]
    darkness: NDArray[np.float64]
    width: float


def draw_strokes(rng: np.random.Generator, frame: Frame, shape: FaceShape) -> tuple[Window, Field]:
    """Draw brows and lashes in their window of the frame, `H W` in [0, 1]."""
    window = frame.window(0, -0.38, 0.95, 0.34)
    part = frame.crop(window)
    height, width = part.shape
    sheet = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), 0)
    pen = ImageDraw.Draw(sheet)
    for side in SIDES:
        _draw(pen, part, _brow(rng, shape, side))
        _draw(pen, part, _lashes(rng, shape, side))
    return window, np.asarray(sheet.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255


def _draw(pen: ImageDraw.ImageDraw, part: Frame, hairs: _Hairs) -> None:
    x0, y0 = part.pixels(hairs.u0, hairs.v0)
    x1, y1 = part.pixels(hairs.u1, hairs.v1)
    lines = (np.stack([x0, y0, x1, y1], 1) * _SUPERSAMPLING).tolist()
    width = max(1, round(hairs.width * part.face_px * _SUPERSAMPLING))
    for line, darkness in zip(lines, hairs.darkness.astype(int).tolist(), strict=True):
        pen.line(line, fill=darkness, width=width)


def _brow(rng: np.random.Generator, s: FaceShape, side: int) -> _Hairs:
    count = _HAIRS_PER_BROW
    along = rng.random(count)  # 0 at the nose, 1 at the temple
    arch = s.brow_arch * np.sin(np.pi * np.minimum(1.15 * along, 1)) - 0.06 * np.maximum(along - 0.72, 0)
    scatter = rng.normal(0, 0.36 * s.brow_thickness, count) * (1.1 - 0.75 * along)
    u, v = side * (s.eye_u - 0.21 + 0.47 * along), _BROW_V - arch + scatter
    angle = np.deg2rad(70 - 78 * along + rng.normal(0, 9, count))
    length = rng.uniform(0.035, 0.075, count)
    tip_u, tip_v = u + side * length * np.cos(angle), v - 0.75 * length * np.sin(angle)
    return _Hairs(u, v, tip_u, tip_v, rng.uniform(90, 215, count), _BROW_HAIR_WIDTH)


def _lashes(rng: np.random.Generator, s: FaceShape, side: int) -> _Hairs:
    count = _LASHES_PER_EYE
    along = rng.uniform(-1, 1, count)
    u = side * s.eye_u + along * s.eye_width
    v = s.eye_v + upper_lid(along, s.eye_height) - side * TILT * along * s.eye_width
    length = rng.uniform(0.03, 0.06, count) * (0.6 + 0.4 * np.abs(along))
    return _Hairs(u, v, u + 0.6 * length * along, v - length, rng.uniform(80, 190, count), _LASH_WIDTH)


@dataclass(frozen=True)
class Lips:
    """Lips in their window of the face: `cover` in [0, 1] and `grooves`, noise of unit scale across the lips."""

    window: Window
    cover: Field
    grooves: Field


def shape_lips(rng: np.random.Generator, frame: Frame, shape: FaceShape) -> Lips:
    """Return where the lips are."""
    window = frame.window(0, shape.mouth_v, shape.mouth_width + 0.08, 2.3 * shape.lower_lip + 0.05)
    part = frame.crop(window)
    ends = sigmoid((shape.mouth_width - np.abs(part.u)) / 0.012)
    cover = sigmoid((1 - _distance_from_seam(part, shape)) / 0.09) * ends
    return Lips(window, gaussian(cover, 0.9 + 0.004 * part.face_px), _grooves(rng, part))


def _distance_from_seam(part: Frame, s: FaceShape) -> Field:
    """Return the distance from the line between the lips, 1 at their border."""
    across = part.u / s.mouth_width
    taper = np.clip(1 - np.abs(across) ** 2.4, 0, None)
    peaks = np.exp(-(((np.abs(across) - 0.20) / 0.13) ** 2))
    bow = 0.22 * peaks - 0.10 * np.exp(-((across / 0.08) ** 2))
    down = part.v - seam_height(part, s)
    upper = -down / np.maximum(s.upper_lip * taper * (1 + bow), 1e-3)
    return np.where(down < 0, upper, down / np.maximum(s.lower_lip * taper, 1e-3))


def _grooves(rng: np.random.Generator, part: Frame) -> Field:
    height, width = part.shape
    grooves = bandpass(rng, (height // 5 + 2, width), 0.5, max(0.6, 1.4 * part.pixels_per_mm))
    return np.clip(resize(grooves, part.shape), -2, 2)


def tint_lips(density: Field, lips: Lips, colour: Field) -> Field:
    """Return the optical density of the face with lips of a colour (optical density, 3)."""
    tinted = density.copy()
    tinted[:, *lips.window] += lips.cover * (1 + 0.10 * lips.grooves) * flat(colour)
    return tinted


def moisten_lips(specular: Field, surface: Surface, lips: Lips) -> Field:
    """Return the specular light of the face with moist lips."""
    moist = specular.copy()
    shine = 0.06 * surface.gloss[lips.window] ** 30 * (1 + 0.5 * lips.grooves)
    moist[lips.window] += lips.cover * (shine - 0.5 * specular[lips.window])
    return moist


def openings(frame: Frame, s: FaceShape) -> Layer:
    """Return a layer with the dark of the nostrils and of the line between the lips, over the whole frame."""
    inner = Bump(0.46 * s.nose_width, s.nose_v + 0.066, 0.040, 0.021, 1.0)
    outer = Bump(0.72 * s.nose_width, s.nose_v + 0.052, 0.044, 0.018, 0.7)
    dark = np.clip(bump_field(frame, both_sides(inner, outer)), 0, 1)
    window = frame.window(0, s.mouth_v, s.mouth_width + 0.15, 0.08)
    dark[window] += 0.7 * mouth_seam(frame.crop(window), s, 0.011, 0.97 * s.mouth_width)
    return Layer((slice(None), slice(None)), flat(_INSIDE), np.clip(dark, 0, 0.93))
