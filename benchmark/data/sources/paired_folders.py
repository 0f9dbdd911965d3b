"""The user's own pairs: two folders with images of equal names."""

from pathlib import Path
from typing import ClassVar

from benchmark.data import Pair, Source
from benchmark.data.files import files_digest, images_in, read_image
from benchmark.errors import DataError


class PairedFolders(Source):
    """Pairs by equal names (the suffix may differ), sub-folders included, sorted by name.

    What is read from a file: `benchmark.data.files.read_image`. Relative folders are relative to the experiment file.
    Raises DataError for folders without images, for images without partner, and if both folders are the same.
    """

    origin: ClassVar[str] = "the user's pairs"

    def __init__(self, degraded: Path, target: Path) -> None:
        degraded_files, target_files = images_in(degraded), images_in(target)
        if degraded.samefile(target):
            raise DataError(
                f"{degraded}: given as degraded and as target; a pair needs an image from each of two folders"
            )
        lonely = sorted(degraded_files.keys() ^ target_files.keys())
        if lonely:
            here, there = (degraded, target) if lonely[0] in degraded_files else (target, degraded)
            raise DataError(
                f"{here}: {lonely[0]!r} has no partner of that name in {there} ({len(lonely)} images without one)"
            )
        self._files = [(name, degraded_files[name], target_files[name]) for name in sorted(degraded_files)]

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Pair:
        name, degraded_file, target_file = self._files[index]
        degraded, target = read_image(degraded_file), read_image(target_file)
        if degraded.shape != target.shape:
            sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (degraded, target))
            raise DataError(f"{degraded_file}: degraded and target differ in size ({sizes} pixels)")
        return Pair(name, degraded, target)

    @property
    def fingerprint(self) -> str:
        files = ((name, file) for name, *both in self._files for file in both)
        return files_digest(files, [Path(__file__)])
