"""A clean portrait: who is in it is drawn by lot first, then it is painted from back to front.

The lots do not depend on the size: one generator shows the same person at any size, with other pores and hairs.
It looks like a decent computer-graphics head, not like a photograph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.synthetic_faces.attributes import Camera, choose_look
from benchmark.synthetic_faces.background import paint_backdrop, paint_surroundings
from benchmark.synthetic_faces.colour import Field, to_srgb
from benchmark.synthetic_faces.compositing import lay
from benchmark.synthetic_faces.face_painting import paint_head
from benchmark.synthetic_faces.geometry import picture_frame
from benchmark.synthetic_faces.hair import paint_hair
from benchmark.synthetic_faces.noise import gaussian

_LENS_BLUR_PX = 0.55
_SHOULDER = 0.12  # how softly highlights saturate


@dataclass(frozen=True)
class Portrait:
    """A clean face.

    `image` is sRGB in [0, 1], `H W 3`; `skin` says how much of each pixel is bare skin, `H W` in [0, 1];
    `pixels_per_mm` is the scale of the face.
    """

    image: NDArray[np.float32]
    skin: NDArray[np.float32]
    pixels_per_mm: float


def draw_portrait(rng: np.random.Generator, size: int) -> Portrait:
    """A portrait of `size` x `size` pixels; all randomness comes from `rng`."""
    look = choose_look(rng)
    frame = picture_frame(look.pose, size)
    backdrop = paint_backdrop(rng, look.setting, size)
    surroundings = list(paint_surroundings(rng, frame, look.setting, look.complexion, look.light))
    head = paint_head(rng, frame, look)
    hair = () if look.hair.style == "bald" else paint_hair(rng, frame, look.hair, look.light)
    picture = lay(backdrop, *surroundings, head.layer, *hair)
    skin = np.zeros(frame.shape, np.float32)
    skin[head.layer.window] = head.skin
    for layer in hair[1:]:
        skin[layer.window] *= 1 - np.clip(1.5 * layer.cover, 0, 1)
    image = _photograph(rng, picture, look.camera)
    return Portrait(image.astype(np.float32, copy=False), skin, frame.pixels_per_mm)


def _photograph(rng: np.random.Generator, scene: Field, camera: Camera) -> Field:
    """sRGB `H W 3` in [0, 1] of a scene in linear light, planes `3 H W`."""
    light = np.clip(scene, 0, None) * camera.exposure
    light = light / (1 + _SHOULDER * light)
    image = to_srgb(np.stack([gaussian(plane, _LENS_BLUR_PX) for plane in light]))
    image += camera.noise_levels / 255 * rng.standard_normal(image.shape, np.float32)
    return np.ascontiguousarray(np.clip(image, 0, 1).transpose(1, 2, 0))
