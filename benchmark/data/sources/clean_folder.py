"""The user's clean faces, damaged by the presets of the drawn ones."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark import synthetic_faces
from benchmark.data import CleanFace, Dataset, Pair, Source, sampling
from benchmark.data.fingerprint import files_digest
from benchmark.data.image_folders import images_in
from benchmark.data.image_io import read_image
from benchmark.data.sources.synthetic_faces import MOST_PAIRS, SIZES_PX, check_options, damaged
from benchmark.data.splits import Splits, SplitSpec, select_images
from benchmark.errors import DataError
from benchmark.synthetic_faces import skin_segmentation, skin_tone
from benchmark.synthetic_faces.skin_segmentation import aligned_scale, find_skin, scale_of_mask
from benchmark.synthetic_faces.skin_tone import typology_angle_of_picture


class CleanFolder(Source):
    """Faces of a folder, sub-folders included, each damaged `versions` times: `<face>__v0`, `<face>__v1`, ...

    All faces come with their first damage, then all with their second. `preset` says how much damage
    (`benchmark.synthetic_faces.lesions`); the damage depends on `seed`, the face's name and the version alone. With
    `fresh` each epoch of training draws new spots, different ones for each stage and seed of the experiment, and only
    the clean faces are cached; drawing takes about 0.2 s at 512 px. `split` takes the faces that `splits.json` lists
    under that name (`{"train": ["a.png", ...], "val": [...]}`); without it all are taken. `splits`, `groups` and
    `split_seed` as in `paired_folders`. Pictures whose shorter side is above `size` pixels are reduced to it, aspect
    kept; none is enlarged. Pictures must be aligned as FFHQ's, unless `mask_folder` has a mask of equal name and
    aspect for each face, white where there is skin; then the width of the mask gives the scale of the face. `gain` and
    `spots` are known. Raises DataError for options out of range, missing files and pictures without skin.
    """

    origin: ClassVar[str] = "the user's clean faces, with spots drawn by this project (benchmark.synthetic_faces)"
    side_option: ClassVar[str | None] = "size"

    def __init__(
        self,
        folder: Path,
        preset: synthetic_faces.PresetName = "contest",
        split: str | None = None,
        versions: int = 1,
        size: int | None = None,
        seed: int = 0,
        mask_folder: Path | None = None,
        fresh: bool = False,  # an option of YAML
        splits: Splits | None = None,
        groups: Path | None = None,
        split_seed: int = 0,
    ) -> None:
        check_options("clean_folder", preset, size, seed)
        if not 1 <= versions <= MOST_PAIRS:
            raise DataError(f"clean_folder: versions is {versions}; it must be from 1 to {MOST_PAIRS:,}")
        if fresh and versions > 1:
            raise DataError(f"clean_folder: fresh draws new spots in each epoch; leave out versions ({versions})")
        self._folder = folder
        self._preset: synthetic_faces.PresetName = preset
        self._versions, self._size, self._seed, self._fresh = versions, size, seed, fresh
        pictures, self.groups = select_images(folder, SplitSpec(split, splits, groups, split_seed))
        self._clean = CleanFaces(pictures, mask_folder, size)
        self._has_masks = mask_folder is not None
        self._stored: Dataset[CleanFace] = self._clean
        self._epoch: tuple[int | str, ...] = ()

    def __len__(self) -> int:
        return len(self._clean) * self._versions

    def read(self, index: int) -> Pair:
        """Return a face with its damage: that of the epoch if it is `fresh`, else that of its version."""
        if not 0 <= index < len(self):
            raise DataError(f"{self._folder}: no pair {index}; there are {len(self)}, from 0")
        version, position = divmod(index, len(self._clean))
        if self._fresh:
            face = self._stored.read(position)
            name, skin, tone = face.name, np.divide(face.skin, 255, dtype=np.float32), face.skin_tone
            image = np.divide(face.image, 255, dtype=np.float32)
        else:
            name, levels, skin = self._clean.read_exactly(position)
            image = np.divide(levels, 255, dtype=np.float32)
            tone = typology_angle_of_picture(image, skin)
        rng = sampling.generator(self._seed, name, *(self._epoch or (version,)))
        # The width of a mask gives the scale of the face, else the size of the aligned picture.
        scale = scale_of_mask(skin) if self._has_masks else aligned_scale(*image.shape[:2])
        portrait = synthetic_faces.Portrait(image, skin, scale, tone)
        return damaged(f"{name}__v{version}", portrait, synthetic_faces.PRESETS[self._preset], rng)

    @property
    def fingerprint(self) -> str:
        """Of the files, the options and the code that finds skin and draws damage."""
        code = [*Path(synthetic_faces.__file__).parent.glob("*.py"), Path(sampling.__file__), Path(__file__)]
        options = (self._preset, self._versions, self._size, self._seed, *(["fresh"] if self._fresh else []))
        return files_digest(self._clean.named_files, sorted(code), options)

    @property
    def files(self) -> Sequence[Path]:
        """The pictures."""
        return self._clean.files

    @property
    def faces(self) -> "CleanFaces":
        """The faces before damage."""
        return self._clean

    @property
    def parts(self) -> Sequence[Dataset[Any]]:
        """The clean faces if each epoch draws damage; else the pairs themselves are cached."""
        return [self._stored] if self._fresh else []

    def with_parts(self, parts: Sequence[Dataset[Any]]) -> "CleanFolder":
        """Return the same source with the clean faces read from elsewhere."""
        same = copy.copy(self)
        (same._stored,) = parts
        return same

    def at_epoch(self, seed: int, stage: str, epoch: int) -> "CleanFolder":
        """Return the source with the spots of an epoch, if they are `fresh`."""
        if not self._fresh:
            return self
        same = copy.copy(self)
        same._epoch = ("fresh", seed, stage, epoch)
        return same


class CleanFaces(Dataset[CleanFace]):
    """The faces of a folder before damage.

    Pictures whose shorter side is above `size_px` are reduced to it. Skin is found as in faces aligned like FFHQ's, or
    read from `mask_folder`.

    Args:
        pictures: names and files of the pictures.
        mask_folder: has a mask of equal name for each picture.
        size_px: largest length of the shorter side, in pixels.

    Raises:
        DataError: a mask is missing.
    """

    def __init__(self, pictures: Sequence[tuple[str, Path]], mask_folder: Path | None, size_px: int | None) -> None:
        masks = images_in(mask_folder) if mask_folder else {}
        for name, file in pictures:
            if mask_folder and name not in masks:
                raise DataError(f"{mask_folder}: no mask {name!r} for {file}")
        self._faces = [(name, file, masks.get(name)) for name, file in pictures]
        self._size_px = size_px

    def __len__(self) -> int:
        return len(self._faces)

    def read(self, index: int) -> CleanFace:
        """Return face number `index`, its skin rounded to 8 bits."""
        name, image, skin = self.read_exactly(index)
        tone = typology_angle_of_picture(np.divide(image, 255, dtype=np.float32), skin)
        return CleanFace(name, image, np.rint(255 * skin).astype(np.uint8), tone)

    def read_exactly(self, index: int) -> tuple[str, NDArray[np.uint8], NDArray[np.float32]]:
        """Return name, image `H W 3` and bare skin `H W` in [0, 1], not rounded.

        Raises:
            DataError: the picture is unreadable, too small or shows no skin, or its mask does not fit.
        """
        name, file, mask = self._faces[index]
        image = _reduced(read_image(file), self._size_px)
        height, width = image.shape[:2]
        if min(height, width) < SIZES_PX[0]:
            raise DataError(f"{file}: {width}x{height} pixels; a face needs at least {SIZES_PX[0]} on each side")
        if mask:
            return name, image, _read_mask(mask, (height, width))
        skin = find_skin(np.divide(image, 255, dtype=np.float32))
        if skin is None:
            raise DataError(
                f"{file}: no skin where a face aligned as in FFHQ has it; take it out or give a mask_folder"
            )
        return name, image, skin.astype(np.float32)

    @property
    def fingerprint(self) -> str:
        """Of the files, the size and the code that finds skin and its tone."""
        code = [Path(skin_segmentation.__file__), Path(skin_tone.__file__), Path(__file__)]
        return files_digest(self.named_files, code, self._size_px)

    @property
    def named_files(self) -> list[tuple[str, Path]]:
        """All files with the name of their face, each picture before its mask."""
        return [(name, file) for name, *files in self._faces for file in files if file]

    @property
    def files(self) -> Sequence[Path]:
        """The pictures."""
        return [file for _, file, _ in self._faces]


@runtime_checkable
class HasFaces(Protocol):
    """A source that damages pictures of faces."""

    @property
    def faces(self) -> CleanFaces:
        """The faces before damage."""
        ...


def _reduced(pixels: NDArray[np.uint8], size_px: int | None) -> NDArray[np.uint8]:
    """Return the picture with its shorter side at most `size_px`."""
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    if size_px is None or shorter <= size_px:
        return pixels
    shape = (round(width * size_px / shorter), round(height * size_px / shorter))
    return np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.LANCZOS))


def _read_mask(file: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return how much of each pixel is skin, in [0, 1], at the size of the picture."""
    mask = Image.fromarray(read_image(file)).convert("L")
    height, width = shape
    if abs(mask.width * height - mask.height * width) > max(shape + mask.size):  # a pixel of rounding
        raise DataError(f"{file}: the mask is {mask.width}x{mask.height} pixels, its picture {width}x{height}")
    skin = np.divide(np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)), 255, dtype=np.float32)
    if not (skin > 0.5).any():
        raise DataError(f"{file}: the mask shows no skin; skin is white")
    return skin
