"""The face from forehead to chin, with eyes, mouth and brows, without hair."""

from dataclasses import dataclass

import numpy as np

from benchmark.synthetic_faces.attributes import Look
from benchmark.synthetic_faces.colour import Field, flat
from benchmark.synthetic_faces.compositing import Layer, lay
from benchmark.synthetic_faces.eyes import paint_eye
from benchmark.synthetic_faces.geometry import SIDES, Frame
from benchmark.synthetic_faces.hair_strokes import draw_strokes
from benchmark.synthetic_faces.height_map import Outline, SkinTexture, face_height, face_outline, skin_texture
from benchmark.synthetic_faces.mouth import Lips, moisten_lips, openings, shape_lips, tint_lips
from benchmark.synthetic_faces.noise import blur, sigmoid
from benchmark.synthetic_faces.shading import Surface, meet_light, shade, specular
from benchmark.synthetic_faces.skin_tone import skin_density

_BROW_SHADOW = 0.25
_BLACK = np.zeros(3, np.float32)


@dataclass(frozen=True)
class Head:
    """The painted face as a layer, and its `skin`: how much of each pixel is bare skin, `H W` in [0, 1]."""

    layer: Layer
    skin: Field


def paint_head(rng: np.random.Generator, picture_frame: Frame, look: Look) -> Head:
    """The face in its window of the picture."""
    window = picture_frame.window(0, -0.185, 1.15, 1.60)
    frame = picture_frame.crop(window)
    outline = face_outline(frame, look.shape)
    texture = skin_texture(rng, frame, look.shape, look.complexion.roughness)
    form = face_height(frame, look.shape, outline)
    surface = meet_light(frame, form, texture.relief * outline.cover, look.light)
    lips = shape_lips(rng, frame, look.shape)
    holes = openings(frame, look.shape)
    light = shade(surface, look.light)
    skin = _lit_skin(rng, frame, look, texture, surface, light, lips)
    eyes = [paint_eye(rng, frame, surface.lambert, look.shape, look.eyes, look.light, side) for side in SIDES]
    brow_shadow, brows = _brows_and_lashes(rng, frame, look, light)
    face = lay(skin, holes, *(layer for eye in eyes for layer in (eye.ball, eye.lids)), brow_shadow, brows)
    bare = outline.cover * _away_from_edges(frame, outline, lips, holes, brow_shadow)
    for eye in eyes:
        bare[eye.ball.window] *= 1 - eye.not_skin
    return Head(Layer(window, np.clip(face, 0, 4), outline.cover), bare)


def _lit_skin(
    rng: np.random.Generator, frame: Frame, look: Look, texture: SkinTexture, surface: Surface, light: Field, lips: Lips
) -> Field:
    """Skin and lips under the light, planes `3 H W`."""
    density = skin_density(rng, frame, look.shape, look.complexion, texture)
    pores_glint = 1 + 0.10 * np.clip(texture.pores, -2, 2) * texture.pore_map
    gloss = moisten_lips(specular(frame, surface, look.light) * pores_glint, surface, lips)
    return np.exp(-tint_lips(density, lips, look.lip_colour)) * light + gloss * surface.open


def _brows_and_lashes(rng: np.random.Generator, frame: Frame, look: Look, light: Field) -> tuple[Layer, Layer]:
    """Soft shadow and hairs."""
    window, strokes = draw_strokes(rng, frame, look.shape)
    shadow = _BROW_SHADOW * blur(strokes, 0.012 * frame.face_px)
    hair = flat(0.8 * look.hair.colour) * (0.35 + 0.5 * light[:, *window])
    return Layer(window, flat(_BLACK), shadow), Layer(window, hair, 0.92 * strokes)


def _away_from_edges(frame: Frame, outline: Outline, lips: Lips, holes: Layer, brow_shadow: Layer) -> Field:
    """Less than 1 at the edge of the face and on lips, brows, nostrils."""
    bare = sigmoid((outline.inside - 0.035) / 0.012) * (1 - np.clip(2 * holes.cover, 0, 1))
    bare[lips.window] *= 1 - np.clip(1.8 * blur(lips.cover, 0.01 * frame.face_px), 0, 1)
    bare[brow_shadow.window] *= 1 - np.clip(3 / _BROW_SHADOW * brow_shadow.cover, 0, 1)
    return bare
