"""A clean portrait: its attributes are drawn at random first, then it is painted from back to front.

The attributes do not depend on the size: one generator shows the same person at any size, with other pores and hairs.
It looks like a decent computer-graphics head; colours, contrast and spectrum are those of photographs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.synthetic_faces.adornments import paint_adornments
from benchmark.synthetic_faces.attributes import Attributes, FaceShape
from benchmark.synthetic_faces.camera import photograph
from benchmark.synthetic_faces.facial_features import (
    Lips,
    draw_strokes,
    moisten_lips,
    openings,
    paint_eye,
    shape_lips,
    tint_lips,
)
from benchmark.synthetic_faces.geometry import SIDES, Bump, Frame, both_sides, bump_field, picture_frame
from benchmark.synthetic_faces.population import choose_attributes
from benchmark.synthetic_faces.raster import (
    EUMELANIN,
    HAEMOGLOBIN,
    MELANIN,
    Field,
    Layer,
    bandpass,
    blur,
    composite,
    flat,
    sigmoid,
    smooth_noise,
)
from benchmark.synthetic_faces.shading import (
    Outline,
    SkinTexture,
    Surface,
    face_height,
    face_outline,
    meet_light,
    shade,
    skin_texture,
    specular,
)
from benchmark.synthetic_faces.surroundings import paint_backdrop, paint_hair, paint_surroundings

_BROW_SHADOW = 0.25
_BLACK = np.zeros(3, np.float32)
_STUBBLE = np.array([1, 0.95, 0.9], np.float32)  # optical density of hair under the skin


@dataclass(frozen=True)
class Portrait:
    """A clean face.

    `image` is sRGB in [0, 1], `H W 3`; `skin` says how much of each pixel is bare skin, `H W` in [0, 1];
    `pixels_per_mm` is the scale of the face; `skin_tone` is the typology angle in degrees, None where nobody is shown.
    """

    image: NDArray[np.float32]
    skin: NDArray[np.float32]
    pixels_per_mm: float
    skin_tone: float | None = None


def draw_portrait(rng: np.random.Generator, size: int) -> Portrait:
    """Draw a portrait of `size` x `size` pixels; all randomness comes from `rng`."""
    person = choose_attributes(rng)
    frame = picture_frame(person.pose, size)
    backdrop = paint_backdrop(rng, person.backdrop_colour, size)
    surroundings = list(paint_surroundings(rng, frame, person))
    head, bare = paint_head(rng, frame, person)
    hair = () if person.hair.style == "bald" else paint_hair(rng, frame, person.hair, person.light)
    worn = paint_adornments(rng, frame, person)
    picture = composite(backdrop, *surroundings, head, *hair, *worn)
    skin = np.zeros(frame.shape, np.float32)
    skin[head.window] = bare
    for layer in [*hair[1:], *worn]:
        skin[layer.window] *= 1 - np.clip(1.5 * layer.cover, 0, 1)
    image = photograph(rng, picture, person.camera)
    return Portrait(image.astype(np.float32, copy=False), skin, frame.pixels_per_mm, person.complexion.skin_tone)


def paint_head(rng: np.random.Generator, picture_frame: Frame, person: Attributes) -> tuple[Layer, Field]:
    """Paint the face in its window of the picture; also return how much of each pixel is bare skin, in [0, 1]."""
    window = picture_frame.window(0, -0.185, 1.15, 1.60)
    frame = picture_frame.crop(window)
    outline = face_outline(frame, person.shape)
    texture = skin_texture(rng, frame, person.shape, person.complexion.roughness, person.wrinkles)
    form = face_height(frame, person.shape, outline, person.wrinkles)
    surface = meet_light(frame, form, texture.relief * outline.cover, person.light)
    lips = shape_lips(rng, frame, person.shape)
    holes = openings(frame, person.shape)
    light = shade(surface, person.light)
    skin = _lit_skin(rng, frame, person, texture, surface, light, lips)
    eyes = [paint_eye(rng, frame, surface.lambert, person.shape, person.eyes, person.light, side) for side in SIDES]
    brow_shadow, brows = _brows_and_lashes(rng, frame, person, light)
    face = composite(skin, holes, *(layer for eye in eyes for layer in (eye.ball, eye.lids)), brow_shadow, brows)
    bare = outline.cover * _away_from_edges(frame, outline, lips, holes, brow_shadow)
    for eye in eyes:
        bare[eye.ball.window] *= 1 - eye.not_skin
    return Layer(window, np.clip(face, 0, 4), outline.cover), bare


def _lit_skin(
    rng: np.random.Generator,
    frame: Frame,
    person: Attributes,
    texture: SkinTexture,
    surface: Surface,
    light: Field,
    lips: Lips,
) -> Field:
    """Return skin and lips under the light, planes `3 H W`."""
    density = skin_density(rng, frame, person, texture)
    pores_glint = 1 + 0.10 * np.clip(texture.pores, -2, 2) * texture.pore_map
    gloss = moisten_lips(specular(frame, surface, person.light) * pores_glint, surface, lips)
    return np.exp(-tint_lips(density, lips, person.lip_colour)) * light + gloss * surface.open


def _brows_and_lashes(rng: np.random.Generator, frame: Frame, person: Attributes, light: Field) -> tuple[Layer, Layer]:
    """Return the soft shadow and the hairs of brows and lashes."""
    window, strokes = draw_strokes(rng, frame, person.shape)
    shadow = _BROW_SHADOW * blur(strokes, 0.012 * frame.face_px)
    hair = flat(0.8 * person.hair.colour) * (0.35 + 0.5 * light[:, *window])
    return Layer(window, flat(_BLACK), shadow), Layer(window, hair, 0.92 * strokes)


def _away_from_edges(frame: Frame, outline: Outline, lips: Lips, holes: Layer, brow_shadow: Layer) -> Field:
    """Return a factor that is below 1 at the edge of the face and on lips, brows and nostrils."""
    bare = sigmoid((outline.inside - 0.035) / 0.012) * (1 - np.clip(2 * holes.cover, 0, 1))
    bare[lips.window] *= 1 - np.clip(1.8 * blur(lips.cover, 0.01 * frame.face_px), 0, 1)
    bare[brow_shadow.window] *= 1 - np.clip(3 / _BROW_SHADOW * brow_shadow.cover, 0, 1)
    return bare


def skin_density(rng: np.random.Generator, frame: Frame, person: Attributes, texture: SkinTexture) -> Field:
    """Return the optical density of the skin without lips, planes `3 H W`."""
    mm, shape, complexion = frame.pixels_per_mm, person.shape, person.complexion
    mottling = (
        0.020 * smooth_noise(rng, frame.shape, 3.5 * mm),
        0.030 * smooth_noise(rng, frame.shape, 14 * mm),
    )
    redness = (
        0.016 * smooth_noise(rng, frame.shape, 2.2 * mm),
        0.035 * smooth_noise(rng, frame.shape, 9 * mm),
    )
    worn = person.adornments
    melanin = sum(mottling) + bump_field(frame, _shadows(shape)) + 0.012 * texture.pores * texture.pore_map
    haemoglobin = sum(redness) + bump_field(frame, _flush(shape, complexion.flush, worn.blush))
    lids = bump_field(frame, both_sides(Bump(shape.eye_u, shape.eye_v - 0.07, 0.19, 0.055)))
    moles = bump_field(frame, [Bump(mole.u, mole.v, mole.radius, mole.radius, mole.density) for mole in worn.moles])
    density = flat(complexion.density) + melanin * flat(1.2 * MELANIN) + haemoglobin * flat(HAEMOGLOBIN)
    density += lids * flat(worn.eye_shadow) + moles * flat(EUMELANIN)
    if complexion.beard:
        density += _beard(rng, frame, shape) * flat(complexion.beard * _STUBBLE)
    return density


def _under_eyes(s: FaceShape, amount: float) -> Bump:
    return Bump(s.eye_u, s.eye_v + 0.13, 0.17, 0.055, amount)


def _shadows(s: FaceShape) -> list[Bump]:
    lids = Bump(s.eye_u, s.eye_v - 0.04, 0.22, 0.10, 0.05)
    return [*both_sides(_under_eyes(s, 0.07), lids), Bump(0, s.mouth_v, 0.42, 0.16, 0.05)]


def _flush(s: FaceShape, strength: float, blush: float) -> list[Bump]:
    cheeks = Bump(0.56, 0.16, 0.26, 0.22, 0.13 * strength + blush)
    nose = Bump(0, s.nose_v - 0.02, 0.15, 0.12, 0.15 * strength)
    chin = Bump(0, 1.0, 0.25, 0.16, 0.07 * strength)
    return [*both_sides(cheeks, _under_eyes(s, 0.06)), nose, chin]


def _beard(rng: np.random.Generator, frame: Frame, s: FaceShape) -> Field:
    chin, moustache = Bump(0, 0.95, 0.55, 0.32), Bump(0, s.nose_v + 0.17, 0.3, 0.06, 0.8)
    lips, jaw = Bump(0, s.mouth_v, s.mouth_width, 0.09, -0.9), Bump(0.7, 0.6, 0.2, 0.35, 0.5)
    area = np.clip(bump_field(frame, [chin, moustache, lips, *both_sides(jaw)]), 0, 1)
    stubble = bandpass(rng, frame.shape, 0.5, max(0.8, 0.35 * frame.pixels_per_mm))
    return area * (0.5 + 1.2 * np.clip(stubble, 0, None))
