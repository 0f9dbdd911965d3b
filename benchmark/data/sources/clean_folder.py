"""The user's clean faces, damaged by the presets of the drawn ones."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark import synthetic_faces
from benchmark.data import Pair, Source, random_streams
from benchmark.data.composite_source import CompositeSource
from benchmark.data.image_io import files_digest
from benchmark.data.sources import _portraits
from benchmark.data.splits import Parts, images_of_part
from benchmark.errors import DataError
from benchmark.synthetic_faces import skin_segmentation


class CleanFolder(CompositeSource):
    """Faces of a folder, sub-folders included, each damaged `versions` times: `<face>__v0`, `<face>__v1`, ...

    All faces come with their first damage, then all with their second. `preset` says how much damage
    (`benchmark.synthetic_faces.presets`); it depends on `seed`, the face's name and the version alone. With `fresh`
    each epoch of training draws new spots, different ones for each stage and seed of the experiment, and only the clean
    faces are cached; drawing them takes about 0.2 s at 512 px. `split` takes the faces that `splits.json` lists
    under that name (`{"train": ["a.png", ...], "val": [...]}`); without it all are taken. `splits`, `groups` and
    `split_seed` as in `paired_folders`. Pictures whose shorter side is above `size` pixels are reduced to it, aspect
    kept; none is enlarged. Pictures must be aligned as FFHQ's, unless `mask_folder` has a mask of equal name and
    aspect for each face, white where there is skin; then the width of the mask gives the scale of the face. `gain` and
    `spots` are known. Raises DataError for options out of range, missing files and pictures without skin.
    """

    origin: ClassVar[str] = "the user's clean faces, with spots drawn by this project (benchmark.synthetic_faces)"
    keeps_degraded: ClassVar[bool] = False

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
        splits: Parts | None = None,
        groups: Path | None = None,
        split_seed: int = 0,
    ) -> None:
        _check_options(preset, versions, size, seed)
        if fresh and versions > 1:
            raise DataError(f"clean_folder: fresh lays new spots at each pass; leave out versions ({versions})")
        self._folder = folder
        self._preset: synthetic_faces.PresetName = preset
        self._versions, self._size, self._seed, self._fresh = versions, size, seed, fresh
        pictures, self._groups = images_of_part(folder, split, splits, groups, split_seed)
        self._clean = _portraits.Portraits(pictures, mask_folder, size)
        self._has_masks = mask_folder is not None
        self._portraits: Source = self._clean
        self._pass: tuple[int | str, ...] | None = None

    def __len__(self) -> int:
        """Number of pairs: faces times versions."""
        return len(self._clean) * self._versions

    def read(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise DataError(f"{self._folder}: no pair {index}; there are {len(self)}, from 0")
        version, position = divmod(index, len(self._clean))
        name = self._clean.name(position)
        rng = random_streams.generator(self._seed, name, *(self._pass or (version,)))
        pair = synthetic_faces.degrade(self._portrait(position), synthetic_faces.PRESETS[self._preset], rng)
        return Pair(
            name=f"{name}__v{version}",
            degraded=pair.degraded,
            target=pair.target,
            gain=pair.gain.astype(np.float16),
            spots=pair.spots.astype(np.float16),
        )

    def _portrait(self, position: int) -> synthetic_faces.Portrait:
        if not self._fresh:
            return self._clean.portrait(position)
        return _portraits.portrait_of(self._portraits.read(position), from_mask=self._has_masks)

    @property
    def fingerprint(self) -> str:
        files = (skin_segmentation.__file__, random_streams.__file__, _portraits.__file__, __file__)
        modules = [Path(file) for file in files]
        code = sorted([*Path(synthetic_faces.__file__).parent.glob("*.py"), *modules])
        options = (self._preset, self._versions, self._size, self._seed, *(["fresh"] if self._fresh else []))
        return files_digest(self._clean.named_files, code, options)

    @property
    def subjects(self) -> frozenset[str]:
        """The pictures, and the groups where they are known; splits that share one share a face."""
        return self._clean.subjects | self._groups

    @property
    def files(self) -> list[Path]:
        """The pictures."""
        return self._clean.files

    @property
    def parts(self) -> Sequence[Source]:
        """The clean faces where damage is drawn at each pass; else the pairs themselves are kept."""
        return [self._portraits] if self._fresh else []

    def with_parts(self, parts: Sequence[Source]) -> "CleanFolder":
        """The same with the clean faces read from elsewhere."""
        same = copy.copy(self)
        (same._portraits,) = parts
        return same

    def in_pass(self, seed: int, stage: str, turn: int) -> "CleanFolder":
        """With the spots of this pass, if they are `fresh`."""
        if not self._fresh:
            return self
        same = copy.copy(self)
        same._pass = ("fresh", seed, stage, turn)
        return same


def _check_options(preset: str, versions: int, size: int | None, seed: int) -> None:
    smallest, largest = _portraits.SIZES_PX
    if preset not in synthetic_faces.PRESETS:
        raise DataError(f"clean_folder: preset {preset!r} is unknown; use one of {', '.join(synthetic_faces.PRESETS)}")
    if versions < 1:
        raise DataError(f"clean_folder: versions is {versions}; it must be at least 1")
    if size is not None and not smallest <= size <= largest:
        raise DataError(f"clean_folder: size is {size} px; it must be from {smallest} to {largest}")
    if seed < 0:
        raise DataError(f"clean_folder: seed is {seed}; it must be 0 or more")
