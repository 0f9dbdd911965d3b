"""Everything around the face: backdrop, neck, clothes, ears, and the hair of the head.

Hair is a cap with a hairline, and long hair at the sides; its strands flow from the parting.
"""

from collections.abc import Iterator

import numpy as np

from benchmark.synthetic_faces.attributes import Attributes, Hair, Light, Pattern
from benchmark.synthetic_faces.geometry import SIDES, Frame, is_empty
from benchmark.synthetic_faces.raster import (
    HAEMOGLOBIN,
    MELANIN,
    Field,
    Layer,
    Window,
    bandpass,
    blur,
    flat,
    gaussian,
    resize,
    sigmoid,
    smooth_noise,
)

_BACKDROP_REDUCTION = 4  # it is out of focus
# Strands: frequency in knots per radian of flow on a face of 140 px half width, and strength.
_STRANDS, _STRAND_FACE_PX = ((16, 0.5), (40, 0.8), (90, 0.9), (170, 0.6)), 140
_RESOLVED = 95  # frequency that is still one strand a pixel, one face unit from the crown
_STEPS_PER_KNOT = 8
_CROWN_V = -1.75  # where the strands start
# Edge of the hair, in face units: single strands stick out along their flow, and its course is uneven.
_EDGE_STRANDS, _EDGE_NOISE, _EDGE_WIDTH = 0.030, 0.018, 0.012
_TAPER = 0.25  # ends of hair are this much more ragged than its sides
_BLACK = np.zeros(3, np.float32)


def paint_backdrop(rng: np.random.Generator, colour: Field, size: int) -> Field:
    """Paint the backdrop, planes `3 size size`: clouds of light with shapes in them, in focus or far out of it."""
    small = max(8, size // _BACKDROP_REDUCTION)
    shape = (small, small)
    brightness = 0.35 * smooth_noise(rng, shape, 0.16 * small) + 0.18 * smooth_noise(rng, shape, 0.05 * small)
    tint = 0.12 * np.stack([smooth_noise(rng, shape, 0.2 * small) for _ in range(3)])
    clouds = flat(colour) * np.exp(brightness + tint)
    backdrop = np.stack([resize(plane, (size, size)) for plane in clouds])
    shapes = _shapes(rng, size)
    texture = rng.uniform(0, 0.12) * bandpass(rng, (size, size), rng.uniform(0.6, 1.2), rng.uniform(2, 6))
    return np.clip(backdrop * np.exp(shapes + texture), 0, 1)


def _shapes(rng: np.random.Generator, size: int) -> Field:
    """Return things behind the person as factors of brightness and colour (logarithms), planes `3 size size`."""
    sheet = np.zeros((3, size, size), np.float32)
    position = np.linspace(0, 1, size, dtype=np.float32)
    for _ in range(rng.poisson(6)):
        x, y, half_width, half_height = rng.random(), rng.random(), *rng.uniform(0.02, 0.35, 2)
        right, down = np.abs(position - x) / half_width, np.abs(position - y) / half_height
        power = rng.choice([2.0, 12.0])  # ellipses and rectangles
        inside = right[None, :] ** power + down[:, None] ** power < 1
        sheet += inside * flat(rng.normal(0, 0.5) + rng.normal(0, 0.25, 3).astype(np.float32))
    blur_px = size * 10 ** rng.uniform(-2.6, -1.2)
    return np.stack([blur(plane, blur_px) for plane in sheet])


def paint_surroundings(rng: np.random.Generator, frame: Frame, person: Attributes) -> Iterator[Layer]:
    """Paint neck, clothes and ears, as far as they are in the picture."""
    neck, chest = frame.window(0, 1.7, 4.0, 1.1), frame.window(0, 2.6, 4.0, 1.1)
    if not is_empty(neck):
        yield _neck(rng, neck, frame.crop(neck), person)
    if not is_empty(chest):
        yield _cloth(rng, chest, frame.crop(chest), person)
    for side in SIDES:
        window = frame.window(side, -0.02, 0.2, 0.45)
        yield _ear(window, frame.crop(window), person, side)


def _neck(rng: np.random.Generator, window: Window, f: Frame, person: Attributes) -> Layer:
    mm, width = f.pixels_per_mm, np.abs(f.across)
    half_width = 0.56 + 0.75 * np.clip(f.v - 1.35, 0, 1) ** 1.5
    melanin = 0.05 + 0.03 * smooth_noise(rng, f.shape, 6 * mm)
    haemoglobin = 0.03 * smooth_noise(rng, f.shape, 5 * mm)
    density = flat(person.complexion.density) + melanin * flat(MELANIN) + haemoglobin * flat(HAEMOGLOBIN)
    under_chin = 0.42 + 0.45 * np.clip((f.v - 1.15) / 0.8, 0, 1)
    rounded = 1 - 0.55 * np.clip(width / half_width, 0, 1) ** 2.5
    brightness = np.clip(under_chin * rounded * (1 + 0.25 * person.light.side * f.across), 0.12, 1)
    cover = sigmoid((half_width - width) * f.face_px / 1.2) * sigmoid((f.v - 0.75) / 0.02)
    return Layer(window, 1.05 * brightness * np.exp(-density), cover)


def _cloth(rng: np.random.Generator, window: Window, f: Frame, person: Attributes) -> Layer:
    width = np.abs(f.across)
    neckline = np.where(width < 0.62, 1.95 - 0.35 * width, 1.73 + 0.18 * (width - 0.62))
    weave = 0.10 * bandpass(rng, f.shape, 0.6, 1.6) + 0.25 * smooth_noise(rng, f.shape, 0.12 * f.face_px)
    weave += _pattern(rng, f, person.pattern)
    brightness = np.exp(weave) * (0.8 + 0.3 * person.light.side * f.across)
    return Layer(window, np.clip(flat(person.cloth_colour) * brightness, 0, 1), sigmoid((f.v - neckline) / 0.012))


def _pattern(rng: np.random.Generator, f: Frame, pattern: Pattern) -> Field:
    """Return the printed pattern of the clothes as a logarithm of brightness, `H W`."""
    if pattern == "plain":
        return np.zeros(f.shape, np.float32)
    period, turn, strength = rng.uniform(0.06, 0.35), rng.uniform(0, np.pi), rng.uniform(0.3, 1.2)
    along = (f.across * np.cos(turn) + f.v * np.sin(turn)) * (2 * np.pi / period)
    across = (f.v * np.cos(turn) - f.across * np.sin(turn)) * (2 * np.pi / period)
    edge = 0.9 * f.face_px * period / (2 * np.pi)  # a printed edge is about a pixel wide
    if pattern == "stripes":
        printed = sigmoid(np.sin(along) * edge)
    elif pattern == "checks":
        printed = 0.5 * sigmoid(np.sin(along) * edge) + 0.5 * sigmoid(np.sin(across) * edge)
    else:
        printed = sigmoid((np.sin(along) + np.sin(across) - 1) * edge)
    return strength * (printed - 0.5)


def _ear(window: Window, f: Frame, person: Attributes, side: int) -> Layer:
    distance = np.sqrt(((f.across - side) / 0.115) ** 2 + ((f.v + 0.02) / 0.25) ** 2)
    fold = 0.10 * np.exp(-(((distance - 0.62) / 0.16) ** 2))
    density = flat(person.complexion.density + 0.14 * HAEMOGLOBIN) + fold * flat(MELANIN)
    brightness = 0.55 + 0.3 * side * person.light.direction[0]
    return Layer(window, np.exp(-density) * brightness, sigmoid((1 - distance) / 0.05))


def paint_hair(rng: np.random.Generator, frame: Frame, hair: Hair, light: Light) -> tuple[Layer, Layer]:
    """Paint the shadow of the hair, and the hair, of a head that is not bald."""
    lowest = 0.4 if hair.style == "short" else hair.length + 0.6
    window = frame.window(0, (lowest - 2.4) / 2, 1.9, (lowest + 2.4) / 2)
    part = frame.crop(window)
    strands = _strands(rng, part, hair)
    edge = _EDGE_NOISE * smooth_noise(rng, part.shape, 0.030 * part.face_px) + _EDGE_STRANDS * strands
    cover = sigmoid((_inside(part, hair) + edge) / _EDGE_WIDTH)
    shadow = 0.35 * blur(cover, 0.03 * part.face_px) * (1 - cover)
    return Layer(window, flat(_BLACK), shadow), Layer(window, _colour(rng, part, hair, light, strands), cover)


def _inside(f: Frame, hair: Hair) -> Field:
    """Return about the distance from the edge of the hair, in face units; negative outside."""
    cap = np.minimum(1.2 * (1 - _from_crown(f, hair)), _from_hairline(f, hair))
    if hair.style == "short":
        return np.minimum(cap, _TAPER * (0.02 - f.v))
    return np.maximum(np.minimum(cap, -f.v), _falling(f, hair))


def _from_crown(f: Frame, hair: Hair) -> Field:
    """Return the distance from the crown, 1 at the outer edge of the hair."""
    return np.sqrt((f.across / (1.03 + hair.volume)) ** 2 + ((f.v + 0.35) / (1.30 + hair.volume)) ** 2)


def _from_hairline(f: Frame, hair: Hair) -> Field:
    """Return the distance from the part of the face that is free of hair, a superellipse."""
    dip = hair.dip * np.exp(-(((f.u - hair.parting) / 0.16) ** 2))
    v = np.minimum(f.v - 0.10 - dip + hair.wave * np.cos(5 * f.u), 0)
    return (np.abs(f.u / hair.free_width) ** 3.2 + np.abs(v / hair.hairline) ** 3.2) ** (1 / 3.2) - 1


def _falling(f: Frame, hair: Hair) -> Field:
    """Return the distance from the edge of long hair at the sides of the face."""
    outer = 1.06 + hair.volume + 0.10 * np.clip(f.v, 0, 2) - np.abs(f.across)
    cheeks = np.clip((f.v + 0.35) / 0.5, 0, 1)
    inner = np.abs(f.u) - hair.free_width + cheeks * (0.06 - 0.05 * np.sin(3 * f.v))
    return np.minimum(np.minimum(outer, inner), np.minimum(f.v + 0.35, _TAPER * (hair.length - f.v)))


def _strands(rng: np.random.Generator, f: Frame, hair: Hair) -> Field:
    """Return the brightness of strands around 0: noise that is constant along the flow from the parting."""
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
    """Return noise in one dimension with a knot at each integer position."""
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
