"""The camera: from linear light to the picture as a photographer delivers it."""

import io

import numpy as np
from numpy.typing import NDArray
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
    if not camera.jpeg_quality:
        return image
    return np.divide(through_jpeg(np.rint(255 * image).astype(np.uint8), camera.jpeg_quality), 255, dtype=np.float32)


def _vignette(picture: Field, camera: Camera) -> Field:
    """Return how much light each place gets, `H W`, 1 in the middle."""
    height, width = picture.shape[1:]
    down, right = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return 1 - 0.5 * camera.vignette * (down[:, None] ** 2 + right**2)


def through_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return an image `H W 3` as a JPEG file gives it back; colour is stored at half resolution (4:2:0).

    Args:
        pixels: the image.
        quality: of libjpeg's scale, from 1 to 95.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file, formats=("JPEG",)) as decoded:
        return np.asarray(decoded)
