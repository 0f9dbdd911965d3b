"""What faces wear and show besides bare skin: glasses, teeth, earrings, loose hairs.

They are dark, red, bright or sharp without being damage, so a network that has seen them leaves them alone.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from benchmark.synthetic_faces.attributes import Attributes, Earrings, FaceShape, Glasses, Light
from benchmark.synthetic_faces.geometry import SIDES, Frame, is_empty
from benchmark.synthetic_faces.raster import Field, Layer, Window, blur, flat, gaussian, over, sigmoid
from benchmark.synthetic_faces.shading import seam_height

_SUPERSAMPLING = 2
_BLACK = np.zeros(3, np.float32)
_MOUTH = np.array([0.10, 0.022, 0.020], np.float32)  # linear colour of the inside of an open mouth
_TOOTH_WIDTH = 0.062  # face units
_LENS_DIMS = 0.05
_HAIR_WIDTH = 0.0040  # face units: 0.3 mm


def paint_adornments(rng: np.random.Generator, frame: Frame, person: Attributes) -> list[Layer]:
    """Paint what a person wears and shows over the face, the lowest layer first; all randomness comes from `rng`."""
    worn, shape = person.adornments, person.shape
    layers = list(_teeth(frame, shape, worn.mouth_opening, worn.tooth_colour))
    layers += _loose_hairs(rng, frame, worn.loose_hairs, person.hair.colour)
    if worn.glasses is not None:
        layers += _glasses(frame, shape, worn.glasses, person.light)
    if worn.earrings is not None:
        layers += _earrings(rng, frame, worn.earrings, person.light)
    return layers


def _earrings(rng: np.random.Generator, frame: Frame, earrings: Earrings, light: Light) -> Iterator[Layer]:
    """Paint a pair of earrings: studs, drops or hoops of metal or stone, beside the face."""
    for side in SIDES:
        window = frame.window(side, 0.30 + earrings.drop / 2, 0.3, 0.3 + earrings.drop)
        if is_empty(window):
            continue
        part = frame.crop(window)
        right, down = part.across - 1.02 * side, part.v - 0.25 - earrings.drop
        distance = np.sqrt(right**2 + down**2)
        if earrings.is_hoop:
            inside = 0.25 * earrings.radius - np.abs(distance - earrings.radius)
        else:
            inside = earrings.radius - distance
        glint = np.exp(
            -(
                ((right - 0.3 * earrings.radius * light.direction[0]) ** 2 + (down + 0.3 * earrings.radius) ** 2)
                / (0.4 * earrings.radius) ** 2
            )
        )
        sparkle = 0.35 * gaussian(rng.standard_normal(part.shape, np.float32), 0.7)
        colour = flat(earrings.colour) * (0.45 + 0.5 * np.clip(1 - distance / (2 * earrings.radius), 0, 1) + sparkle)
        yield Layer(window, np.clip(colour + 0.9 * glint, 0, 1.5), sigmoid(inside * part.face_px / 0.8))


def _teeth(frame: Frame, s: FaceShape, opening: float, colour: Field) -> Iterator[Layer]:
    """Paint an open mouth: the upper teeth over the dark, `opening` face units high in the middle."""
    if not opening:
        return
    window = frame.window(0, s.mouth_v, s.mouth_width, opening + 0.06)
    part = frame.crop(window)
    across = part.u / (0.86 * s.mouth_width)
    down = part.v - seam_height(part, s)
    room = opening * np.sqrt(np.clip(1 - across**2, 0, None))
    cover = sigmoid((0.5 * room - np.abs(down - 0.1 * room)) * part.face_px / 1.1) * (np.abs(across) < 1)
    edge = 0.28 * room + 0.006 * np.cos(2 * np.pi * part.u / _TOOTH_WIDTH)
    is_tooth = sigmoid((edge - down) * part.face_px / 1.0)
    gap = np.abs((part.u / _TOOTH_WIDTH + 0.5) % 1 - 0.5)  # 0 in the middle of a tooth
    brightness = (1 - 0.35 * np.exp(-(((gap - 0.5) / 0.07) ** 2))) * (1 - 0.75 * np.clip(np.abs(across), 0, 1) ** 2)
    shadow = 0.55 + 0.45 * np.clip((down + 0.5 * room) / 0.05, 0, 1)
    mouth = over(np.broadcast_to(flat(_MOUTH), (3, *part.shape)), flat(colour) * brightness * shadow, is_tooth)
    yield Layer(window, mouth, cover.astype(np.float32))


def _glasses(frame: Frame, s: FaceShape, glasses: Glasses, light: Light) -> Iterator[Layer]:
    """Paint the shadow of the rims, the lenses with a reflection, and the rims with bridge and temples."""
    window = frame.window(0, s.eye_v, 1.15, 0.55)
    part = frame.crop(window)
    distance = np.minimum(*(_to_lens(part, s, glasses, side) for side in SIDES))
    top = s.eye_v + glasses.down - 0.35 * glasses.half_height
    bridge = np.maximum(np.abs(part.v - top + 0.35 * part.u**2), np.abs(part.u) - s.eye_u)
    outwards = np.abs(part.u)
    temples = np.maximum(
        np.abs(part.v - top), np.maximum(1.02 * s.eye_u + glasses.half_width - outwards, outwards - 0.98)
    )
    line = np.minimum(np.abs(distance), np.where(distance > 0, np.minimum(bridge, temples), 1))
    rims = sigmoid((glasses.thickness / 2 - line) * part.face_px / 0.9)
    shadow = np.roll(blur(rims, 0.025 * part.face_px), max(1, round(0.03 * part.face_px)), axis=0)
    yield Layer(window, flat(_BLACK), 0.3 * shadow)
    lens = sigmoid(-distance * part.face_px)
    slant = np.exp(-(((part.u - 0.5 * light.direction[0] + 0.8 * (part.v - s.eye_v)) / 0.10) ** 2))
    yield Layer(window, flat(light.colour), lens * np.clip(_LENS_DIMS + glasses.reflection * slant, 0, 1))
    shine = 0.12 * np.exp(-(((line - 0.1 * glasses.thickness) / (0.2 * glasses.thickness)) ** 2))
    yield Layer(window, flat(glasses.colour) * 0.5 + shine * flat(light.colour) * glasses.gloss, rims)


def _to_lens(part: Frame, s: FaceShape, glasses: Glasses, side: int) -> Field:
    """Return about the distance from the edge of a lens in face units, negative inside."""
    right = np.abs(part.u - side * 1.04 * s.eye_u) / glasses.half_width
    down = np.abs(part.v - s.eye_v - glasses.down) / glasses.half_height
    radius = (right**glasses.power + down**glasses.power) ** (1 / glasses.power)
    return (radius - 1) * min(glasses.half_width, glasses.half_height)


def _loose_hairs(rng: np.random.Generator, frame: Frame, count: int, colour: Field) -> Iterator[Layer]:
    """Paint single hairs that hang over forehead and cheeks."""
    if not count:
        return
    height, width = frame.shape
    sheet = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), 0)
    pen = ImageDraw.Draw(sheet)
    for _ in range(count):
        side = rng.choice(SIDES)
        u = side * rng.uniform(0.15, 0.95) + np.cumsum(rng.normal(0, 0.02, 12)) + side * np.linspace(0, 0.25, 12)
        v = rng.uniform(-1.1, -0.5) + np.linspace(0, rng.uniform(0.4, 1.5), 12)
        x, y = frame.pixels(u, v)
        points = (np.stack([x, y], axis=1) * _SUPERSAMPLING).ravel().tolist()
        pen.line(
            points, fill=int(rng.integers(110, 230)), width=max(1, round(_HAIR_WIDTH * frame.face_px * _SUPERSAMPLING))
        )
    cover = np.asarray(sheet.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    everywhere: Window = (slice(0, height), slice(0, width))
    yield Layer(everywhere, flat(colour), 0.8 * cover)
