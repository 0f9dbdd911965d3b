"""Colour of the skin as optical density: tone, mottling, flush, shadows under the eyes, beard."""

from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.colour import HAEMOGLOBIN, MELANIN, Field, flat, lab_to_linear
from benchmark.synthetic_faces.geometry import Bump, FaceShape, Frame, both_sides, bump_field
from benchmark.synthetic_faces.height_map import SkinTexture
from benchmark.synthetic_faces.noise import bandpass, smooth_noise

# Albedo of skin, CIE Lab, roughly Fitzpatrick types I to VI (typology angle 58, 46, 34, 17, -20, -55 degrees).
_TONES_LAB = np.array([[77, 10, 15], [71, 12, 18], [65, 13, 20], [57, 14, 21], [43, 14, 19], [31, 11, 13]], float)
_TONE_SPREAD_LAB = (1.5, 1.2, 1.5)
_STUBBLE = np.array([1, 0.95, 0.9], np.float32)  # optical density of hair under the skin
_BEARD_SHARE = 0.35  # of all faces


@dataclass(frozen=True)
class Complexion:
    """Skin of one face: `tone` from 0 (type I) to 5 (type VI), its optical density (3,), strength of the flush, `beard`
    density (0 is none) and `roughness` of the fine structure."""

    tone: float
    density: Field
    flush: float
    beard: float
    roughness: float


def choose_complexion(rng: np.random.Generator) -> Complexion:
    """All tones are equally likely; a flush shows less on dark skin."""
    tone = rng.uniform(0, 5)
    lab = [np.interp(tone, range(6), _TONES_LAB[:, axis]) for axis in range(3)]
    return Complexion(
        tone=tone,
        density=-np.log(lab_to_linear(lab + rng.normal(0, _TONE_SPREAD_LAB))),
        flush=rng.uniform(0.6, 2.2) * (1 - tone / 6),
        beard=rng.uniform(0.05, 0.30) if rng.random() < _BEARD_SHARE else 0.0,
        roughness=rng.uniform(0.5, 1.5),
    )


def skin_density(
    rng: np.random.Generator, frame: Frame, shape: FaceShape, complexion: Complexion, texture: SkinTexture
) -> Field:
    """Optical density of the skin, planes `3 H W`, lips not included."""
    mm = frame.pixels_per_mm
    mottling = (
        0.020 * smooth_noise(rng, frame.shape, 3.5 * mm),
        0.030 * smooth_noise(rng, frame.shape, 14 * mm),
    )
    redness = (
        0.016 * smooth_noise(rng, frame.shape, 2.2 * mm),
        0.035 * smooth_noise(rng, frame.shape, 9 * mm),
    )
    melanin = sum(mottling) + bump_field(frame, _shadows(shape)) + 0.012 * texture.pores * texture.pore_map
    haemoglobin = sum(redness) + bump_field(frame, _flush(shape, complexion.flush))
    density = flat(complexion.density) + melanin * flat(1.2 * MELANIN) + haemoglobin * flat(HAEMOGLOBIN)
    if complexion.beard:
        density += _beard(rng, frame, shape) * flat(complexion.beard * _STUBBLE)
    return density


def _under_eyes(s: FaceShape, amount: float) -> Bump:
    return Bump(s.eye_u, s.eye_v + 0.13, 0.17, 0.055, amount)


def _shadows(s: FaceShape) -> list[Bump]:
    lids = Bump(s.eye_u, s.eye_v - 0.04, 0.22, 0.10, 0.05)
    return [*both_sides(_under_eyes(s, 0.07), lids), Bump(0, s.mouth_v, 0.42, 0.16, 0.05)]


def _flush(s: FaceShape, strength: float) -> list[Bump]:
    cheeks = Bump(0.56, 0.16, 0.26, 0.22, 0.13 * strength)
    nose = Bump(0, s.nose_v - 0.02, 0.15, 0.12, 0.15 * strength)
    chin = Bump(0, 1.0, 0.25, 0.16, 0.07 * strength)
    return [*both_sides(cheeks, _under_eyes(s, 0.06)), nose, chin]


def _beard(rng: np.random.Generator, frame: Frame, s: FaceShape) -> Field:
    chin, moustache = Bump(0, 0.95, 0.55, 0.32), Bump(0, s.nose_v + 0.17, 0.3, 0.06, 0.8)
    lips, jaw = Bump(0, s.mouth_v, s.mouth_width, 0.09, -0.9), Bump(0.7, 0.6, 0.2, 0.35, 0.5)
    area = np.clip(bump_field(frame, [chin, moustache, lips, *both_sides(jaw)]), 0, 1)
    stubble = bandpass(rng, frame.shape, 0.5, max(0.8, 0.35 * frame.pixels_per_mm))
    return area * (0.5 + 1.2 * np.clip(stubble, 0, None))
