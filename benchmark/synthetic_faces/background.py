"""Everything around the face but the hair: backdrop, neck, clothes, ears."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.colour import HAEMOGLOBIN, MELANIN, Field, flat, lab_to_linear
from benchmark.synthetic_faces.compositing import Layer
from benchmark.synthetic_faces.geometry import SIDES, Frame, Window, is_empty
from benchmark.synthetic_faces.noise import bandpass, resize, sigmoid, smooth_noise
from benchmark.synthetic_faces.shading import Light
from benchmark.synthetic_faces.skin_tone import Complexion

_BACKDROP_REDUCTION = 4  # it is out of focus


@dataclass(frozen=True)
class Setting:
    """Linear colours (3,) of the backdrop and of the clothes."""

    backdrop: Field
    cloth: Field


def choose_setting(rng: np.random.Generator) -> Setting:
    """Any muted colours."""
    backdrop = lab_to_linear([rng.uniform(18, 85), rng.normal(0, 12), rng.normal(0, 16)])
    return Setting(backdrop, lab_to_linear([rng.uniform(12, 80), rng.normal(0, 18), rng.normal(0, 20)]))


def paint_backdrop(rng: np.random.Generator, setting: Setting, size: int) -> Field:
    """Out-of-focus backdrop, planes `3 size size`."""
    small = max(8, size // _BACKDROP_REDUCTION)
    shape = (small, small)
    brightness = 0.35 * smooth_noise(rng, shape, 0.16 * small) + 0.18 * smooth_noise(rng, shape, 0.05 * small)
    tint = 0.12 * np.stack([smooth_noise(rng, shape, 0.2 * small) for _ in range(3)])
    backdrop = flat(setting.backdrop) * np.exp(brightness + tint)
    return np.clip(np.stack([resize(plane, (size, size)) for plane in backdrop]), 0, 1)


def paint_surroundings(
    rng: np.random.Generator, frame: Frame, setting: Setting, complexion: Complexion, light: Light
) -> Iterator[Layer]:
    """Neck, clothes and ears, as far as they are in the picture."""
    neck, chest = frame.window(0, 1.7, 4.0, 1.1), frame.window(0, 2.6, 4.0, 1.1)
    if not is_empty(neck):
        yield _neck(rng, neck, frame.crop(neck), complexion, light)
    if not is_empty(chest):
        yield _cloth(rng, chest, frame.crop(chest), setting, light)
    for side in SIDES:
        window = frame.window(side, -0.02, 0.2, 0.45)
        yield _ear(window, frame.crop(window), complexion, light, side)


def _neck(rng: np.random.Generator, window: Window, f: Frame, complexion: Complexion, light: Light) -> Layer:
    mm, width = f.pixels_per_mm, np.abs(f.across)
    half_width = 0.56 + 0.75 * np.clip(f.v - 1.35, 0, 1) ** 1.5
    melanin = 0.05 + 0.03 * smooth_noise(rng, f.shape, 6 * mm)
    haemoglobin = 0.03 * smooth_noise(rng, f.shape, 5 * mm)
    density = flat(complexion.density) + melanin * flat(MELANIN) + haemoglobin * flat(HAEMOGLOBIN)
    under_chin = 0.42 + 0.45 * np.clip((f.v - 1.15) / 0.8, 0, 1)
    rounded = 1 - 0.55 * np.clip(width / half_width, 0, 1) ** 2.5
    brightness = np.clip(under_chin * rounded * (1 + 0.25 * light.side * f.across), 0.12, 1)
    cover = sigmoid((half_width - width) * f.face_px / 1.2) * sigmoid((f.v - 0.75) / 0.02)
    return Layer(window, 1.05 * brightness * np.exp(-density), cover)


def _cloth(rng: np.random.Generator, window: Window, f: Frame, setting: Setting, light: Light) -> Layer:
    width = np.abs(f.across)
    neckline = np.where(width < 0.62, 1.95 - 0.35 * width, 1.73 + 0.18 * (width - 0.62))
    weave = 0.10 * bandpass(rng, f.shape, 0.6, 1.6) + 0.25 * smooth_noise(rng, f.shape, 0.12 * f.face_px)
    brightness = np.exp(weave) * (0.8 + 0.3 * light.side * f.across)
    return Layer(window, np.clip(flat(setting.cloth) * brightness, 0, 1), sigmoid((f.v - neckline) / 0.012))


def _ear(window: Window, f: Frame, complexion: Complexion, light: Light, side: int) -> Layer:
    distance = np.sqrt(((f.across - side) / 0.115) ** 2 + ((f.v + 0.02) / 0.25) ** 2)
    fold = 0.10 * np.exp(-(((distance - 0.62) / 0.16) ** 2))
    density = flat(complexion.density + 0.14 * HAEMOGLOBIN) + fold * flat(MELANIN)
    return Layer(window, np.exp(-density) * (0.55 + 0.3 * side * light.direction[0]), sigmoid((1 - distance) / 0.05))
