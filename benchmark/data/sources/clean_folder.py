"""The user's clean faces, damaged by the presets of the drawn ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data import Pair, Source, faces, skin, streams
from benchmark.data.files import files_digest, images_in, read_image
from benchmark.errors import DataError, suggestion
from benchmark.files import read_json

_SIZES_PX = (64, 4096)


@dataclass(frozen=True)
class _Face:
    """A picture and, where there are masks, its mask."""

    name: str
    file: Path
    mask: Path | None


class CleanFolder(Source):
    """Faces of a folder, sub-folders included, each damaged `versions` times: `<face>__v0`, `<face>__v1`, ...

    All faces come with their first damage, then all with their second. `preset` says how much damage
    (`benchmark.data.faces.presets`); it depends on `seed`, the face's name and the version alone. `split` takes the
    faces that `splits.json` in the folder lists under that name (`{"train": ["a.png", ...], "val": [...]}`); without
    it all are taken. Pictures whose shorter side is above `size` pixels are reduced to it, aspect kept; none is
    enlarged. Pictures must be aligned as FFHQ's, unless `mask_folder` has a mask of equal name and aspect for each
    face, white where there is skin; then the width of the mask gives the scale of the face. `gain` and `spots` are
    known. Raises DataError for options out of range, missing files and pictures without skin.
    """

    origin: ClassVar[str] = "the user's clean faces, with spots drawn by this project (benchmark.data.faces)"

    def __init__(
        self,
        folder: Path,
        preset: faces.PresetName = "contest",
        split: str | None = None,
        versions: int = 1,
        size: int | None = None,
        seed: int = 0,
        mask_folder: Path | None = None,
    ) -> None:
        _check_options(preset, versions, size, seed)
        self._folder = folder
        self._preset: faces.PresetName = preset
        self._versions, self._size, self._seed = versions, size, seed
        self._faces = list(_with_masks(_chosen(folder, split), mask_folder))

    def __len__(self) -> int:
        """Number of pairs: faces times versions."""
        return len(self._faces) * self._versions

    def read(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise DataError(f"{self._folder}: no pair {index}; there are {len(self)}, from 0")
        version, position = divmod(index, len(self._faces))
        face = self._faces[position]
        rng = streams.generator(self._seed, face.name, version)
        pair = faces.degrade(self._portrait(face), faces.PRESETS[self._preset], rng)
        return Pair(
            name=f"{face.name}__v{version}",
            degraded=pair.degraded,
            target=pair.target,
            gain=pair.gain.astype(np.float16),
            spots=pair.spots.astype(np.float16),
        )

    @property
    def fingerprint(self) -> str:
        files = ((face.name, file) for face in self._faces for file in (face.file, face.mask) if file)
        modules = [Path(file) for file in (skin.__file__, streams.__file__, __file__)]
        code = sorted([*Path(faces.__file__).parent.glob("*.py"), *modules])
        return files_digest(files, code, (self._preset, self._versions, self._size, self._seed))

    @property
    def subjects(self) -> frozenset[str]:
        """The pictures; splits that share one share a face."""
        return frozenset(str(face.file.resolve()) for face in self._faces)

    def _portrait(self, face: _Face) -> faces.Portrait:
        pixels = _reduced(read_image(face.file), self._size)
        height, width = pixels.shape[:2]
        if min(height, width) < _SIZES_PX[0]:
            raise DataError(f"{face.file}: {width}x{height} pixels; a face needs at least {_SIZES_PX[0]} on each side")
        image = np.divide(pixels, 255, dtype=np.float32)
        if face.mask:
            bare = _read_mask(face.mask, image.shape[:2])
            return faces.Portrait(image, bare, skin.scale_of_mask(bare))
        found = skin.find_skin(image)
        if found is None:
            raise DataError(
                f"{face.file}: no skin where a face aligned as in FFHQ has it; take it out or give a mask_folder"
            )
        return faces.Portrait(image, found.astype(np.float32), skin.aligned_scale(height, width))


def _check_options(preset: str, versions: int, size: int | None, seed: int) -> None:
    smallest, largest = _SIZES_PX
    if preset not in faces.PRESETS:
        raise DataError(f"clean_folder: preset {preset!r} is unknown; use one of {', '.join(faces.PRESETS)}")
    if versions < 1:
        raise DataError(f"clean_folder: versions is {versions}; it must be at least 1")
    if size is not None and not smallest <= size <= largest:
        raise DataError(f"clean_folder: size is {size} px; it must be from {smallest} to {largest}")
    if seed < 0:
        raise DataError(f"clean_folder: seed is {seed}; it must be 0 or more")


def _chosen(folder: Path, split: str | None) -> dict[str, Path]:
    """The images of a split, or all, by name."""
    files = images_in(folder)
    if split is None:
        return files
    by_path = {file.relative_to(folder).as_posix(): name for name, file in files.items()}
    listed = _split_list(folder / "splits.json", split)
    for path in listed:
        if path not in by_path:
            raise DataError(f"{folder / 'splits.json'}: {split!r} lists {path!r}, which is no image of the folder")
    wanted = {by_path[path] for path in listed}
    return {name: file for name, file in files.items() if name in wanted}


def _split_list(file: Path, split: str) -> list[str]:
    if not file.is_file():
        raise DataError(f'{file}: no such file; split {split!r} needs it: {{"train": ["a.png", ...], "val": [...]}}')
    splits: Any = read_json(file)
    if not isinstance(splits, dict):
        raise DataError(f'{file}: expected JSON like {{"train": ["a.png", ...], "val": [...]}}')
    if split not in splits:
        raise DataError(f"{file}: no split {split!r}; {suggestion(split, splits)}")
    listed: Any = splits[split]
    if not isinstance(listed, list) or not listed or not all(isinstance(path, str) for path in listed):
        raise DataError(f"{file}: {split!r} must be a list of file names, at least one")
    return listed


def _with_masks(files: dict[str, Path], mask_folder: Path | None) -> Iterator[_Face]:
    masks = images_in(mask_folder) if mask_folder else {}
    for name, file in files.items():
        if mask_folder and name not in masks:
            raise DataError(f"{mask_folder}: no mask {name!r} for {file}")
        yield _Face(name, file, masks.get(name))


def _reduced(pixels: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """The picture with its shorter side at most `size`."""
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    if size is None or shorter <= size:
        return pixels
    shape = (round(width * size / shorter), round(height * size / shorter))
    return np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.LANCZOS))


def _read_mask(file: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """How much of each pixel is skin, at the size of the picture."""
    mask = Image.fromarray(read_image(file)).convert("L")
    height, width = shape
    if abs(mask.width * height - mask.height * width) > max(width, height):  # a pixel of rounding
        raise DataError(f"{file}: the mask is {mask.width}x{mask.height} pixels, its picture {width}x{height}")
    bare = np.divide(np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)), 255, dtype=np.float32)
    if not (bare > 0.5).any():
        raise DataError(f"{file}: the mask shows no skin; skin is white")
    return bare
