"""Clean faces as they are before damage: the picture, and where its skin is bare."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark import synthetic_faces
from benchmark.data import Pair, Source
from benchmark.data.image_io import files_digest, images_in, read_image
from benchmark.errors import DataError
from benchmark.synthetic_faces import skin_segmentation

SIZES_PX = (64, 4096)


class Portraits(Source):
    """Faces of a folder: the target of a pair is the picture, its degraded image shows bare skin in white.

    `pictures`: files by name. Pictures whose shorter side is above `size_px` are reduced to it. Skin is found as in
    faces aligned like FFHQ's, or read from `mask_folder`. Raises DataError if a mask is missing.
    """

    origin: ClassVar[str] = "the user's clean faces"

    def __init__(self, pictures: Mapping[str, Path], mask_folder: Path | None, size_px: int | None) -> None:
        masks = images_in(mask_folder) if mask_folder else {}
        for name, file in pictures.items():
            if mask_folder and name not in masks:
                raise DataError(f"{mask_folder}: no mask {name!r} for {file}")
        self._faces = [(name, file, masks.get(name)) for name, file in pictures.items()]
        self._size_px = size_px

    def __len__(self) -> int:
        return len(self._faces)

    def read(self, index: int) -> Pair:
        name, *_ = self._faces[index]
        pixels, bare = self._picture_and_skin(index)
        levels = np.rint(255 * bare).astype(np.uint8)
        return Pair(name, np.repeat(levels[:, :, None], 3, 2), pixels)

    def name(self, index: int) -> str:
        """The name of a face."""
        return self._faces[index][0]

    def portrait(self, index: int) -> synthetic_faces.Portrait:
        """What is damaged; where skin was found, not read from a mask, without the rounding to 8 bits of a pair."""
        pixels, bare = self._picture_and_skin(index)
        return _portrait(pixels, bare, from_mask=self._faces[index][2] is not None)

    def _picture_and_skin(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        _, file, mask = self._faces[index]
        pixels = _reduced(read_image(file), self._size_px)
        height, width = pixels.shape[:2]
        if min(height, width) < SIZES_PX[0]:
            raise DataError(f"{file}: {width}x{height} pixels; a face needs at least {SIZES_PX[0]} on each side")
        return pixels, _read_mask(mask, (height, width)) if mask else _found_skin(file, pixels)

    @property
    def fingerprint(self) -> str:
        named = ((name, file) for name, *both in self._faces for file in both if file)
        return files_digest(named, [Path(skin_segmentation.__file__), Path(__file__)], self._size_px)

    @property
    def subjects(self) -> frozenset[str]:
        """The pictures; splits that share one share a face."""
        return frozenset(str(file.resolve()) for _, file, _ in self._faces)

    @property
    def named_files(self) -> list[tuple[str, Path]]:
        """All files with the name of their face, pictures before masks."""
        return [(name, file) for name, *both in self._faces for file in both if file]

    @property
    def files(self) -> list[Path]:
        """The pictures."""
        return [file for _, file, _ in self._faces]


def portrait_of(pair: Pair, *, from_mask: bool) -> synthetic_faces.Portrait:
    """What is damaged, of a pair of `Portraits` that may have been cached."""
    return _portrait(pair.target, np.divide(pair.degraded[:, :, 0], 255, dtype=np.float32), from_mask=from_mask)


def _portrait(pixels: NDArray[np.uint8], bare: NDArray[np.float32], *, from_mask: bool) -> synthetic_faces.Portrait:
    """The width of a mask tells the scale of the face, else the size of the aligned picture does."""
    image = np.divide(pixels, 255, dtype=np.float32)
    scale = skin_segmentation.scale_of_mask(bare) if from_mask else skin_segmentation.aligned_scale(*image.shape[:2])
    return synthetic_faces.Portrait(image, bare, scale)


def _reduced(pixels: NDArray[np.uint8], size_px: int | None) -> NDArray[np.uint8]:
    """The picture with its shorter side at most `size_px`."""
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    if size_px is None or shorter <= size_px:
        return pixels
    shape = (round(width * size_px / shorter), round(height * size_px / shorter))
    return np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.LANCZOS))


def _found_skin(file: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    found = skin_segmentation.find_skin(np.divide(pixels, 255, dtype=np.float32))
    if found is None:
        raise DataError(f"{file}: no skin where a face aligned as in FFHQ has it; take it out or give a mask_folder")
    return found.astype(np.float32)


def _read_mask(file: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """How much of each pixel is skin, in [0, 1], at the size of the picture."""
    mask = Image.fromarray(read_image(file)).convert("L")
    height, width = shape
    if abs(mask.width * height - mask.height * width) > max(shape + mask.size):  # a pixel of rounding
        raise DataError(f"{file}: the mask is {mask.width}x{mask.height} pixels, its picture {width}x{height}")
    bare = np.divide(np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)), 255, dtype=np.float32)
    if not (bare > 0.5).any():
        raise DataError(f"{file}: the mask shows no skin; skin is white")
    return bare
