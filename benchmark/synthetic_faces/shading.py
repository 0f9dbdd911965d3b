"""Shape of the face and the light on it: dome of the head, features, pores and lines; shading and gloss.

The shape is a height above the picture plane, in face units. There is one key light, ambient light, occlusion in
hollows and two lobes of gloss. Red scatters furthest in skin, so each channel's light wraps around the form by another
amount.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.attributes import FaceShape, Light
from benchmark.synthetic_faces.geometry import SIDES, Bump, Frame, both_sides, bump_field, is_empty
from benchmark.synthetic_faces.raster import Field, Window, bandpass, blur, flat, resize, sigmoid

_BROW_V, _CROWN_V, _CHIN_V = -0.30, -1.60, 1.23
_PORE_MM, _DIMPLE_MM, _LINE_MM = (0.28, 0.62), (1.1, 2.6), (0.55, 1.5)  # finer and coarser Gaussian
_SLOPE = 0.62  # less than 1 flattens the form as a long lens does
_WRAP = np.array([0.52, 0.36, 0.28], np.float32)
_SKY = np.array([0.96, 0.98, 1.04], np.float32)


@dataclass(frozen=True)
class Outline:
    """Silhouette of the face: `inside` is the distance from its edge in face units, `cover` its opacity in [0, 1]."""

    half_width: Field
    inside: Field
    cover: Field


@dataclass(frozen=True)
class SkinTexture:
    """Fine structure: signed `pores` of unit scale, how strong they are (`pore_map`), and the `relief` of it all."""

    pores: Field
    pore_map: Field
    relief: Field


def face_outline(frame: Frame, shape: FaceShape) -> Outline:
    """Return the silhouette: a superellipse above the brows, a jaw of varying squareness below."""
    half_width = _half_width(frame.v, shape.jaw_power)
    width = np.abs(frame.across)
    beyond = -width - np.minimum(np.abs(frame.v - _CROWN_V), np.abs(frame.v - _CHIN_V))
    inside = blur(np.where(half_width > 0, half_width - width, beyond), 0.02 * frame.face_px)
    return Outline(half_width, inside, sigmoid(inside * frame.face_px / 0.9))


def _half_width(v: Field, jaw_power: float) -> Field:
    crown = np.clip(1 - np.abs((v - _BROW_V) / (_BROW_V - _CROWN_V)) ** 2.2, 0, None) ** (1 / 2.2)
    down = np.clip((v - _BROW_V) / (_CHIN_V - _BROW_V), 0, 1)
    jaw = np.clip(1 - down**jaw_power, 0, None) ** 0.52 * (1 - 0.10 * down)
    return np.where(v < _BROW_V, crown, jaw)


def face_height(frame: Frame, shape: FaceShape, outline: Outline, wrinkles: float) -> Field:
    """Return the height without the fine structure, in face units; `wrinkles` is a factor of the depth of folds."""
    height = _dome(frame, outline) + bump_field(frame, _hills(shape))
    for window, values in _folds(frame, shape, wrinkles):
        height[window] += values
    return height


def _dome(frame: Frame, outline: Outline) -> Field:
    t = np.clip(np.abs(frame.across) / np.maximum(outline.half_width, 1e-3), 0, 1)
    fall_to_chin = np.sqrt(np.clip((1.30 - frame.v) / 0.35, 0, 1))
    return blur(0.95 * (1 - t**2.4) ** 0.62 * fall_to_chin, 0.035 * frame.face_px)


def _hills(s: FaceShape) -> Iterator[Bump]:
    yield from both_sides(
        Bump(s.eye_u, s.eye_v - 0.02, 0.25, 0.14, -0.14),  # socket
        Bump(s.eye_u, s.eye_v, 0.15, 0.09, 0.085),  # eyeball
        Bump(0.60, 0.10, 0.26, 0.20, 0.09),  # cheek bone
        Bump(s.nose_width * 0.92, s.nose_v + 0.005, 0.074, 0.070, 0.130),  # wing of the nose
        Bump(s.mouth_width + 0.03, s.mouth_v + 0.01, 0.05, 0.05, -0.035),  # corner of the mouth
    )
    yield Bump(0, s.nose_v - 0.02, 0.12, 0.10, 0.13)  # tip of the nose
    yield Bump(0, s.mouth_v - s.upper_lip * 0.9, s.mouth_width * 0.75, s.upper_lip * 1.1, 0.055)
    yield Bump(0, s.mouth_v + s.lower_lip * 0.75, s.mouth_width * 0.68, s.lower_lip, 0.075)
    yield Bump(0, (s.nose_v + s.mouth_v) / 2 - 0.01, 0.035, 0.07, -0.014)  # philtrum
    yield Bump(0, s.mouth_v + 0.20, 0.24, 0.055, -0.055)  # fold above the chin
    yield Bump(0, 1.02, 0.25, 0.15, 0.11)  # chin


def _folds(frame: Frame, shape: FaceShape, wrinkles: float) -> Iterator[tuple[Window, Field]]:
    """Yield the parts of the height that are no Gaussian bump, each in its window."""
    window = frame.window(0, -0.37, 1.2, 0.32)
    part = frame.crop(window)
    yield window, 0.06 * np.exp(-(((part.v + 0.37) / 0.10) ** 2) - (part.u / 0.62) ** 4)  # ridge of the brows
    window = frame.window(0, (shape.nose_v - 0.42) / 2, 0.40, (shape.nose_v + 0.42) / 2 + 0.80)
    yield window, _nose_ridge(frame.crop(window), shape)
    window = frame.window(0, shape.mouth_v, shape.mouth_width + 0.2, 0.1)
    yield window, -0.05 * mouth_seam(frame.crop(window), shape, 0.018, shape.mouth_width)
    for side in SIDES:
        window = frame.window(side * shape.nose_width * 0.8, shape.nose_v, 0.22, 0.22)
        yield window, _nostril_groove(frame.crop(window), shape, side)
        window = frame.window(side * 0.37, 0.47, 0.32, 0.5)
        yield window, (0.4 + 0.6 * wrinkles) * _smile_line(frame.crop(window), shape, side)
        window = frame.window(side * shape.eye_u, shape.eye_v + 0.155, 0.28, 0.12)
        yield window, (0.4 + 0.6 * wrinkles) * _eye_bag(frame.crop(window), shape, side)


def _nose_ridge(f: Frame, s: FaceShape) -> Field:
    down = np.clip((f.v + 0.35) / (s.nose_v + 0.35), 0, 1)
    profile = (0.05 + 0.23 * down**1.3) * np.exp(-((f.u / (0.075 + 0.055 * down)) ** 2))
    return profile * sigmoid((s.nose_v + 0.070 - 1.5 * f.u**2 - f.v) / 0.030) * sigmoid((f.v + 0.42) / 0.08)


def _nostril_groove(f: Frame, s: FaceShape, side: int) -> Field:
    du, dv = f.u - side * s.nose_width * 0.80, (f.v - s.nose_v) / 1.05
    ring = np.exp(-(((np.sqrt(du * du + dv * dv) - 0.125) / 0.022) ** 2))
    outer = sigmoid((side * f.u - s.nose_width * 0.85) / 0.02) * sigmoid((s.nose_v + 0.06 - f.v) / 0.03)
    return -0.022 * ring * outer


def _smile_line(f: Frame, s: FaceShape, side: int) -> Field:
    off = f.u - side * (0.27 + 0.35 * np.clip(f.v - s.nose_v, 0, 0.5))
    return -0.020 * np.exp(-((off / 0.045) ** 2) - ((f.v - 0.47) / 0.16) ** 2)


def _eye_bag(f: Frame, s: FaceShape, side: int) -> Field:
    du = f.u - side * s.eye_u
    return -0.012 * np.exp(-(((f.v - s.eye_v - 0.155 + 0.25 * du**2) / 0.022) ** 2) - (du / 0.16) ** 4)


def seam_height(f: Frame, s: FaceShape) -> Field:
    """Return `v` of the line between the lips."""
    across = f.u / s.mouth_width
    return s.mouth_v + 0.012 * np.cos(across * np.pi) - 0.02 * across**2


def mouth_seam(f: Frame, s: FaceShape, width: float, half_length: float) -> Field:
    """Return the line between the lips as a field in [0, 1]."""
    line = np.exp(-(((f.v - seam_height(f, s)) / width) ** 2))
    return line * sigmoid((half_length - np.abs(f.u)) / 0.02)


def skin_texture(
    rng: np.random.Generator, frame: Frame, shape: FaceShape, roughness: float, wrinkles: float
) -> SkinTexture:
    """Draw pores, dimples and forehead lines; strongest on nose and cheeks, weakest around the eyes."""
    mm = frame.pixels_per_mm
    pore_map = _pore_map(frame, shape)
    pores = bandpass(rng, frame.shape, max(0.55, _PORE_MM[0] * mm), max(1.0, _PORE_MM[1] * mm))
    pores *= 1.02 - 0.325 * np.tanh(4 * pores)  # pits are deeper (1.35) than bumps are high (0.7)
    dimples = bandpass(rng, frame.shape, _DIMPLE_MM[0] * mm, _DIMPLE_MM[1] * mm)
    relief = 0.0011 * pores * pore_map + 0.0011 * dimples * (0.4 + 0.6 * pore_map)
    window = frame.window(0, -0.72, 1.0, 0.5)
    if not is_empty(window):
        relief[window] += wrinkles * _forehead_lines(rng, frame.crop(window))
    return SkinTexture(pores, pore_map, roughness * relief)


def _pore_map(f: Frame, s: FaceShape) -> Field:
    centre = bump_field(f, [Bump(0, 0.18, 0.55, 0.45, 0.8), Bump(0, -0.75, 0.5, 0.25, 0.25)])
    eyes = bump_field(f, both_sides(Bump(s.eye_u, s.eye_v, 0.26, 0.15)))
    return np.clip(0.35 + centre, 0, 1.2) * (1 - 0.75 * np.clip(eyes, 0, 1))


def _forehead_lines(rng: np.random.Generator, f: Frame) -> Field:
    mm, (height, width) = f.pixels_per_mm, f.shape
    lines = bandpass(rng, (height, width // 6 + 2), _LINE_MM[0] * mm, _LINE_MM[1] * mm)
    return 0.0009 * resize(lines, f.shape) * np.exp(-(((f.v + 0.72) / 0.22) ** 2) - (f.u / 0.7) ** 4)


@dataclass(frozen=True)
class Surface:
    """How the face meets the light, each `H W`.

    Attributes:
        lambert: normal . light.
        gloss: normal . half vector, not negative.
        upward: in [0, 1]; 1 faces the sky.
        open: in [0, 1]; 1 is not occluded.
    """

    lambert: Field
    gloss: Field
    upward: Field
    open: Field


def meet_light(frame: Frame, form: Field, relief: Field, light: Light) -> Surface:
    """Return the surface of a height `form + relief` (face units) under a light; hollows count in `form` alone."""
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
    """Return the light that reaches the skin, planes `3 H W`."""
    wrapped = np.clip((surface.lambert + flat(_WRAP)) / flat(1 + _WRAP), 0, None)
    key = wrapped * np.sqrt(np.sqrt(wrapped))  # to the power 1.25
    sky = light.ambient * (0.75 + 0.35 * surface.upward)
    return (sky * flat(_SKY) + (1.05 - light.ambient) * key * flat(light.colour)) * surface.open


def specular(frame: Frame, surface: Surface, light: Light) -> Field:
    """Return the gloss of the skin, a broad and a narrow lobe; forehead, nose and cheeks are oily."""
    cheeks = bump_field(frame, both_sides(Bump(0.55, 0.05, 0.25, 0.22, 0.6)))
    oily = 0.35 + 0.65 * np.clip(np.exp(-((frame.u / 0.28) ** 2)) + cheeks, 0, 1)
    return light.oil * oily * (0.10 * surface.gloss**22 + 0.11 * surface.gloss**70)
