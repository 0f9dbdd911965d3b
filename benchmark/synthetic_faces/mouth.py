"""Lips, nostrils and the line between the lips."""

from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.colour import HAEMOGLOBIN, MELANIN, Field, flat
from benchmark.synthetic_faces.compositing import Layer
from benchmark.synthetic_faces.geometry import Bump, FaceShape, Frame, Window, both_sides, bump_field
from benchmark.synthetic_faces.height_map import mouth_seam, seam_height
from benchmark.synthetic_faces.noise import bandpass, gaussian, resize, sigmoid
from benchmark.synthetic_faces.shading import Surface

_INSIDE = np.array([0.045, 0.02, 0.018], np.float32)  # linear colour of nostrils and of the dark between the lips


@dataclass(frozen=True)
class Lips:
    """Lips in their window of the face: `cover` in [0, 1] and `grooves`, noise of unit scale across the lips."""

    window: Window
    cover: Field
    grooves: Field


def choose_lip_colour(rng: np.random.Generator) -> Field:
    """Optical density (3,) that the lips add to the skin; the last part is their sheen."""
    return rng.uniform(0.65, 1.2) * HAEMOGLOBIN + rng.uniform(0, 0.10) * MELANIN - rng.uniform(0.08, 0.18)


def shape_lips(rng: np.random.Generator, frame: Frame, shape: FaceShape) -> Lips:
    """Where the lips are."""
    window = frame.window(0, shape.mouth_v, shape.mouth_width + 0.08, 2.3 * shape.lower_lip + 0.05)
    part = frame.crop(window)
    ends = sigmoid((shape.mouth_width - np.abs(part.u)) / 0.012)
    cover = sigmoid((1 - _distance_from_seam(part, shape)) / 0.09) * ends
    return Lips(window, gaussian(cover, 0.9 + 0.004 * part.face_px), _grooves(rng, part))


def _distance_from_seam(part: Frame, s: FaceShape) -> Field:
    """1 at the border of the lips."""
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
    """Optical density of the face with lips of a colour (optical density, 3)."""
    tinted = density.copy()
    tinted[:, *lips.window] += lips.cover * (1 + 0.10 * lips.grooves) * flat(colour)
    return tinted


def moisten_lips(specular: Field, surface: Surface, lips: Lips) -> Field:
    """Specular light of the face with moist lips."""
    moist = specular.copy()
    shine = 0.06 * surface.gloss[lips.window] ** 30 * (1 + 0.5 * lips.grooves)
    moist[lips.window] += lips.cover * (shine - 0.5 * specular[lips.window])
    return moist


def openings(frame: Frame, s: FaceShape) -> Layer:
    """The dark of the nostrils and of the line between the lips, over the whole frame."""
    inner = Bump(0.46 * s.nose_width, s.nose_v + 0.066, 0.040, 0.021, 1.0)
    outer = Bump(0.72 * s.nose_width, s.nose_v + 0.052, 0.044, 0.018, 0.7)
    dark = np.clip(bump_field(frame, both_sides(inner, outer)), 0, 1)
    window = frame.window(0, s.mouth_v, s.mouth_width + 0.15, 0.08)
    dark[window] += 0.7 * mouth_seam(frame.crop(window), s, 0.011, 0.97 * s.mouth_width)
    return Layer((slice(None), slice(None)), flat(_INSIDE), np.clip(dark, 0, 0.93))
