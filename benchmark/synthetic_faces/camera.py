"""The camera: from linear light to the picture as a photographer delivers it."""

import io

import numpy as np
from PIL import Image

from benchmark.synthetic_faces.attributes import Camera
from benchmark.synthetic_faces.raster import LUMINANCE, Field, flat, gaussian, to_srgb

_LENS_BLUR_PX = 0.55
_SHOULDER = 0.12  # how softly highlights saturate
_SHARPENING_PX = 0.8


def photograph(rng: np.random.Generator, picture: Field, camera: Camera) -> Field:
    """Return a picture in linear light, planes `3 H W`, as sRGB `H W 3` in [0, 1].

    Lens, exposure, white balance and vignette come first, then the sensor's noise, and last what a camera or an editor
    does: contrast, saturation, sharpening, JPEG.
    """
    light = np.clip(picture, 0, None) * flat(camera.exposure * camera.white_balance) * _vignette(picture, camera)
    light = light / (1 + _SHOULDER * light) + camera.flare
    image = to_srgb(np.stack([gaussian(plane, _LENS_BLUR_PX) for plane in light]))
    image += camera.noise_levels / 255 * rng.standard_normal(image.shape, np.float32)
    image += camera.contrast * (image * image * (3 - 2 * image) - image)
    grey = np.tensordot(LUMINANCE, image, 1)
    image = grey + camera.saturation * (image - grey)
    if camera.sharpening:
        image = image + camera.sharpening * (image - np.stack([gaussian(plane, _SHARPENING_PX) for plane in image]))
    image = np.ascontiguousarray(np.clip(image, 0, 1).transpose(1, 2, 0), np.float32)
    return _compressed(image, camera.jpeg_quality) if camera.jpeg_quality else image


def _vignette(picture: Field, camera: Camera) -> Field:
    """Return how much light each place gets, `H W`, 1 in the middle."""
    height, width = picture.shape[1:]
    down, right = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return 1 - 0.5 * camera.vignette * (down[:, None] ** 2 + right**2)


def _compressed(image: Field, quality: int) -> Field:
    """Return an image `H W 3` in [0, 1] as a JPEG file of a quality gives it back."""
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file, "JPEG", quality=quality)
    with Image.open(file, formats=["JPEG"]) as decoded:
        return np.divide(np.asarray(decoded), 255, dtype=np.float32)
