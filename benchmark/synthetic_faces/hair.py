"""Hair of the head: a cap with a hairline, long hair at the sides, strands that flow from the parting."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.synthetic_faces.colour import Field, flat, lab_to_linear
from benchmark.synthetic_faces.compositing import Layer
from benchmark.synthetic_faces.geometry import Frame
from benchmark.synthetic_faces.noise import blur, gaussian, sigmoid, smooth_noise
from benchmark.synthetic_faces.shading import Light

Style = Literal["short", "long", "bald"]

# CIE Lab of black, dark brown, brown, blond, grey and red hair, and how common each is on light and on dark skin.
_HAIR_LAB = np.array([[9, 2, 3], [18, 6, 8], [32, 10, 18], [58, 6, 26], [55, 0, 3], [36, 24, 28]])
_HAIR_SHARE_LIGHT, _HAIR_SHARE_DARK = (0.42, 0.26, 0.14, 0.08, 0.06, 0.04), (0.75, 0.18, 0.03, 0.01, 0.03, 0)
_HAIR_SPREAD_LAB = (1.5, 1, 1.5)
_LIGHT_SKIN_BELOW = 3.0  # tone
_STYLES: tuple[Style, ...] = ("short", "long", "bald")
_STYLE_SHARE = (0.50, 0.46, 0.04)
# Strands: frequency in knots per radian of flow on a face of 140 px half width, and strength.
_STRANDS, _STRAND_FACE_PX = ((16, 0.5), (40, 0.8), (90, 0.9), (170, 0.6)), 140
_RESOLVED = 95  # frequency that is still one strand a pixel, one face unit from the crown
_STEPS_PER_KNOT = 8
_CROWN_V = -1.75  # where the strands start
# Edge of the hair, in face units: single strands stick out along their flow, and its course is uneven.
_EDGE_STRANDS, _EDGE_NOISE, _EDGE_WIDTH = 0.030, 0.018, 0.012
_TAPER = 0.25  # ends of hair are this much more ragged than its sides
_BLACK = np.zeros(3, np.float32)


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


def choose_hair(rng: np.random.Generator, tone: float) -> Hair:
    """Hair colours as common as on skin of that tone."""
    share = _HAIR_SHARE_LIGHT if tone < _LIGHT_SKIN_BELOW else _HAIR_SHARE_DARK
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


def paint_hair(rng: np.random.Generator, frame: Frame, hair: Hair, light: Light) -> tuple[Layer, Layer]:
    """The shadow of the hair, and the hair, of a head that is not bald."""
    lowest = 0.4 if hair.style == "short" else hair.length + 0.6
    window = frame.window(0, (lowest - 2.4) / 2, 1.9, (lowest + 2.4) / 2)
    part = frame.crop(window)
    strands = _strands(rng, part, hair)
    edge = _EDGE_NOISE * smooth_noise(rng, part.shape, 0.030 * part.face_px) + _EDGE_STRANDS * strands
    cover = sigmoid((_inside(part, hair) + edge) / _EDGE_WIDTH)
    shadow = 0.35 * blur(cover, 0.03 * part.face_px) * (1 - cover)
    return Layer(window, flat(_BLACK), shadow), Layer(window, _colour(rng, part, hair, light, strands), cover)


def _inside(f: Frame, hair: Hair) -> Field:
    """About the distance from the edge of the hair, in face units; negative outside."""
    cap = np.minimum(1.2 * (1 - _from_crown(f, hair)), _from_hairline(f, hair))
    if hair.style == "short":
        return np.minimum(cap, _TAPER * (0.02 - f.v))
    return np.maximum(np.minimum(cap, -f.v), _falling(f, hair))


def _from_crown(f: Frame, hair: Hair) -> Field:
    """1 at the outer edge of the hair."""
    return np.sqrt((f.across / (1.03 + hair.volume)) ** 2 + ((f.v + 0.35) / (1.30 + hair.volume)) ** 2)


def _from_hairline(f: Frame, hair: Hair) -> Field:
    """Distance from the part of the face that is free of hair, a superellipse."""
    dip = hair.dip * np.exp(-(((f.u - hair.parting) / 0.16) ** 2))
    v = np.minimum(f.v - 0.10 - dip + hair.wave * np.cos(5 * f.u), 0)
    return (np.abs(f.u / hair.free_width) ** 3.2 + np.abs(v / hair.hairline) ** 3.2) ** (1 / 3.2) - 1


def _falling(f: Frame, hair: Hair) -> Field:
    """Distance from the edge of long hair at the sides of the face."""
    outer = 1.06 + hair.volume + 0.10 * np.clip(f.v, 0, 2) - np.abs(f.across)
    cheeks = np.clip((f.v + 0.35) / 0.5, 0, 1)
    inner = np.abs(f.u) - hair.free_width + cheeks * (0.06 - 0.05 * np.sin(3 * f.v))
    return np.minimum(np.minimum(outer, inner), np.minimum(f.v + 0.35, _TAPER * (hair.length - f.v)))


def _strands(rng: np.random.Generator, f: Frame, hair: Hair) -> Field:
    """Brightness of strands around 0: noise that is constant along the flow from the parting."""
    right, down = f.across - hair.parting, f.v - _CROWN_V
    width = np.abs(right)
    flow = 2.2 * np.arctan2(width + 0.02, down) + 0.25 * width
    flow = (flow + 0.03 * smooth_noise(rng, f.shape, 0.12 * f.face_px)) * np.sign(right)
    flow *= f.face_px / _STRAND_FACE_PX
    from_crown = np.sqrt(right**2 + down**2)
    strands = np.zeros(f.shape, np.float32)
    for frequency, strength in _STRANDS:
        resolved = np.minimum(_RESOLVED / frequency * from_crown, 1)  # finer than a pixel near the crown
        strands += strength * resolved * _noise_along(rng, flow * frequency)
    return gaussian(strands, 0.45) / 1.15


def _noise_along(rng: np.random.Generator, position: Field) -> Field:
    """Noise in one dimension with a knot at each integer position."""
    start = np.floor(position.min())
    length = int(np.ceil(position.max() - start)) + 2
    fine = np.arange(0, length - 1, 1 / _STEPS_PER_KNOT)
    table = np.interp(fine, np.arange(length), rng.standard_normal(length)).astype(np.float32)
    return table[((position - start) * _STEPS_PER_KNOT).astype(np.int32)]


def _colour(rng: np.random.Generator, f: Frame, hair: Hair, light: Light, strands: Field) -> Field:
    clumps = smooth_noise(rng, f.shape, 0.05 * f.face_px)
    crown = _from_crown(f, hair)
    on_top = np.clip(-0.4 - f.v, 0, 0.6) / 0.6
    ring = np.exp(-(((crown - 0.74 - 0.03 * clumps) / 0.10) ** 2)) * on_top
    form = 0.55 + 0.35 * np.clip(1.1 - crown, 0, 1) + 0.12 * light.side * f.across
    brightness = 1.25 * np.exp(0.28 * strands + 0.12 * clumps) * form
    shine = 0.05 * ring * np.clip(1 + strands, 0, 3)
    return np.clip(flat(hair.colour) * brightness + shine * flat(light.colour), 0, 1)
