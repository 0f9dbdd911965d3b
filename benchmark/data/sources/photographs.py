"""Photographs of faces, damaged by the presets of the drawn ones: those that Python packages bring, or a folder's.

Networks that learn on drawn faces may harm what no drawing has: hair, cloth, grain. So every row whose damage a preset
draws is tested on these, too.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark import synthetic_faces
from benchmark.data import Pair, Source, sampling
from benchmark.data.fingerprint import files_digest
from benchmark.data.image_folders import images_in
from benchmark.data.image_io import read_image
from benchmark.data.sources import clean_folder
from benchmark.data.sources import synthetic_faces as drawn_faces
from benchmark.data.sources.clean_folder import CleanFaces
from benchmark.data.sources.synthetic_faces import MOST_PAIRS, check_options, damaged
from benchmark.errors import DataError
from benchmark.synthetic_faces.skin_segmentation import aligned_scale, find_skin, scale_of_mask

LARGEST_PX: Final = 512
"""Default of the longest shorter side: four pictures of this size are restored in a second or two."""


class _Crop(NamedTuple):
    """The square of a portrait in which the face lies as in FFHQ's pictures, in pixels."""

    left: int
    top: int
    side: int


_PACKAGED: Final = {"grace_hopper": _Crop(84, 17, 364), "astronaut": _Crop(123, 4, 204)}
"""Official portraits by US agencies, in the public domain: of Grace Hopper (US Navy) and Eileen Collins (NASA)."""


def packaged_portraits() -> dict[str, Path]:
    """Return the files of the portraits that installed packages bring, by name: matplotlib's and scikit-image's."""
    from matplotlib.cbook import get_sample_data  # takes half a second

    files = {"grace_hopper": Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))}
    images = find_spec("skimage")  # `skimage.data.astronaut()` reads this file; importing it takes a second
    if images is not None and images.origin is not None:
        files["astronaut"] = Path(images.origin).parent / "data" / "astronaut.png"
    return {name: file for name, file in files.items() if file.is_file()}


class Photographs(Source):
    """Photographs of faces, each damaged `versions` times: `<picture>__v0`, `<picture>__v1`, ...

    Without `folder` these are the public-domain portraits that matplotlib and, where it is installed, scikit-image
    bring, cut to the face. `folder` names others, sub-folders included; `count` takes the first so many by name. All
    come with their first damage, then all with their second. `preset` says how much damage; it depends on `seed`, the
    picture's name and the version alone. Pictures whose shorter side is above `size` pixels are reduced to it, aspect
    kept; none is enlarged. Pictures of a folder must be aligned as FFHQ's, unless `mask_folder` has a mask of equal
    name for each, white where there is skin. `gain` and `spots` are known. Raises DataError for options out of range,
    missing files and pictures without skin.
    """

    origin: ClassVar[str] = (
        "public-domain portraits in matplotlib and scikit-image, or the user's photographs, with spots drawn by this "
        "project (benchmark.synthetic_faces)"
    )

    def __init__(
        self,
        folder: Path | None = None,
        preset: synthetic_faces.PresetName = "contest",
        count: int | None = None,
        size: int = LARGEST_PX,
        versions: int = 2,
        seed: int = 0,
        mask_folder: Path | None = None,
    ) -> None:
        check_options("photographs", preset, size, seed, 1 if count is None else count)
        if not 1 <= versions <= MOST_PAIRS:
            raise DataError(f"photographs: versions is {versions}; it must be from 1 to {MOST_PAIRS:,}")
        if mask_folder is not None and folder is None:
            raise DataError("photographs: mask_folder needs a folder of pictures; the packaged portraits have no masks")
        pictures = sorted((images_in(folder) if folder else packaged_portraits()).items())[:count]
        if not pictures:
            raise DataError(
                "photographs: neither matplotlib nor scikit-image brings its portrait here; name a folder, or "
                "write photographs: false"
            )
        self._faces = CleanFaces(pictures, mask_folder, size) if folder else _PackagedFaces(pictures, None, size)
        self._preset: synthetic_faces.PresetName = preset
        self._size, self._versions, self._seed, self._has_masks = size, versions, seed, mask_folder is not None

    def __len__(self) -> int:
        return len(self._faces) * self._versions

    def read(self, index: int) -> Pair:
        """Return a picture with the damage of its version."""
        if not 0 <= index < len(self):
            raise DataError(f"photographs: no pair {index}; there are {len(self)}, from 0")
        version, position = divmod(index, len(self._faces))
        name, image, skin = self._faces.read_exactly(position)
        scale = scale_of_mask(skin) if self._has_masks else aligned_scale(*image.shape[:2])
        portrait = synthetic_faces.Portrait(np.divide(image, 255, dtype=np.float32), skin, scale)
        rng = sampling.generator(self._seed, name, version)
        return damaged(f"{name}__v{version}", portrait, synthetic_faces.PRESETS[self._preset], rng)

    @property
    def fingerprint(self) -> str:
        """Of the files, the options and the code that finds skin and draws damage."""
        modules = (sampling, clean_folder, drawn_faces)
        code = [
            *Path(synthetic_faces.__file__).parent.glob("*.py"),
            *(Path(str(module.__file__)) for module in modules),
            Path(__file__),
        ]
        return files_digest(
            self._faces.named_files, sorted(code), (self._preset, self._versions, self._size, self._seed)
        )

    @property
    def files(self) -> Sequence[Path]:
        """The pictures."""
        return self._faces.files

    @property
    def faces(self) -> CleanFaces:
        """The pictures before damage."""
        return self._faces


class _PackagedFaces(CleanFaces):
    """The packaged portraits, cut to the face."""

    def read_exactly(self, index: int) -> tuple[str, NDArray[np.uint8], NDArray[np.float32]]:
        """Return name, image `H W 3` and bare skin `H W` in [0, 1]; see `CleanFaces.read_exactly`."""
        name, file = self.named_files[index]
        left, top, side = _PACKAGED[name]
        cut = Image.fromarray(read_image(file)).crop((left, top, left + side, top + side))
        if self._size_px is not None and side > self._size_px:
            cut = cut.resize((self._size_px, self._size_px), Image.Resampling.LANCZOS)
        image = np.asarray(cut, np.uint8)
        skin = find_skin(np.divide(image, 255, dtype=np.float32))
        if skin is None:
            raise DataError(f"{file}: is not the portrait that this package is known to bring; name a folder")
        return name, image, skin.astype(np.float32)
