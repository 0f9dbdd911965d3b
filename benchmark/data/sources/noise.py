"""Clean pictures with Gaussian noise: the classic denoising protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.data import Pair, Source, sampling, to_levels
from benchmark.data.fingerprint import files_digest
from benchmark.data.image_io import read_image
from benchmark.data.splits import Splits, SplitSpec, select_images
from benchmark.errors import DataError


class Noise(Source):
    """The images of a folder, sub-folders included, as targets; degraded: the same with white Gaussian noise.

    `sigma` is the noise's standard deviation in 8-bit levels (published tables have 15, 25 and 50), the same in each
    channel. The noise is fixed by `seed` and the image's name, so test images are the same in every row. With
    `clip: false` networks get the sum as it is, float32 with values outside 0 to 255, as published protocols have it;
    else it is rounded and clipped to 8 bits, and doing nothing scores 0.1 dB more at 25, 0.5 dB at 50. Scores, pictures
    and the baselines of every experiment are of 8 bits either way. Only flips, rotations and crops keep values outside.
    New noise at each step of training: augmentation `gaussian_noise`. `split`, `splits`, `groups` and `split_seed` are
    those of `paired_folders`. Raises DataError for a sigma outside 0 to 255, a negative seed, and missing files.
    """

    origin: ClassVar[str] = "the user's clean pictures, with Gaussian noise"

    def __init__(
        self,
        folder: Path,
        sigma: float = 25,
        seed: int = 0,
        split: str | None = None,
        splits: Splits | None = None,
        groups: Path | None = None,
        split_seed: int = 0,
        clip: bool = True,  # an option of YAML
    ) -> None:
        if not 0 < sigma <= 255:
            raise DataError(f"noise: sigma is {sigma}; it must be above 0 and at most 255 (8-bit levels)")
        if seed < 0:
            raise DataError(f"noise: seed is {seed}; it must be 0 or more")
        self._sigma, self._seed, self._clip = float(sigma), seed, clip
        self._files, self.groups = select_images(folder, SplitSpec(split, splits, groups, split_seed))

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Pair:
        """Return an image with its noise."""
        name, file = self._files[index]
        target = read_image(file)
        noise = sampling.generator(self._seed, "noise", name).standard_normal(target.shape, np.float32)
        degraded = target + np.float32(self._sigma) * noise
        return Pair(name, to_levels(degraded) if self._clip else degraded, target)

    @property
    def fingerprint(self) -> str:
        """Of the files, the options and the code that reads and draws."""
        code = [Path(sampling.__file__), Path(__file__)]
        return files_digest(self._files, code, (self._sigma, self._seed, *([] if self._clip else ["unclipped"])))

    @property
    def files(self) -> Sequence[Path]:
        """The image files."""
        return [file for _, file in self._files]
