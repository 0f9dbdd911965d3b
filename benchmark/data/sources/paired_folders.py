"""The user's own pairs: two folders with images of equal names, a known layout, or a CSV file of pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from benchmark.data import Pair, Source
from benchmark.data.fingerprint import files_digest
from benchmark.data.image_io import read_image
from benchmark.data.pairing import LAYOUTS, PairedFiles, by_csv, by_equal_names, by_templates
from benchmark.data.splits import Splits, SplitSpec, select_split
from benchmark.errors import DataError


class PairedFolders(Source):
    """Pairs of image files, sorted by name.

    Options say where the files are in one of three ways:

    * `degraded` and `target`: two folders, sub-folders included, with equal names (the suffix may differ), or with
      names that fit `degraded_name` and `target_name`, e.g. `{id}_noisy` and `{id}_clean`;
    * `root` and `layout`: a folder with two of known names: contest (`image`, `groundtruth`), ffhqr (`source`,
      `target`), basicsr (`lq`, `gt`), gopro (`input`, `target`); templates work there, too;
    * `pairs`: a CSV file with columns `degraded,target` and, if wanted, `name`.

    `split` takes one split. `splits` says what the splits are: a file (JSON `{"train": ["a.png", ...]}` or CSV with
    columns `image,split`; without it `splits.json` beside the images), counts `{train: 800, test: 200}` or shares
    `{train: 0.8, test: 0.2}`, drawn by `split_seed`. `groups`: a CSV file with columns `image,group`; images of one
    group (a person, a scene) stay in one split. What is read from an image: `benchmark.data.image_io.read_image`.
    Relative paths are relative to the experiment file. Raises DataError for folders without images, for images
    without partner, for splits that are unknown or empty, and if both folders are the same.
    """

    origin: ClassVar[str] = "the user's pairs"

    def __init__(
        self,
        degraded: Path | None = None,
        target: Path | None = None,
        root: Path | None = None,
        layout: Literal["contest", "ffhqr", "basicsr", "gopro"] | None = None,
        pairs: Path | None = None,
        degraded_name: str | None = None,
        target_name: str | None = None,
        split: str | None = None,
        splits: Splits | None = None,
        groups: Path | None = None,
        split_seed: int = 0,
    ) -> None:
        if pairs is not None:
            _refuse_beside("pairs", degraded, target, root, layout, degraded_name, target_name)
            paired, home = by_csv(pairs), pairs.parent
        else:
            folders = _folders(degraded, target, root, layout)
            home = root or folders[0]
            paired = _pairs_of(folders, degraded_name, target_name)
        files = {pair.name: (pair.degraded, pair.target) for pair in paired}
        spec = SplitSpec(split, splits, groups, split_seed)
        names, self.groups = select_split(files, spec, home / "splits.json")
        self._files = [(name, *files[name]) for name in names]

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Pair:
        """Return both images of a pair; they must have one size."""
        files = self.pair_files(index)
        degraded, target = read_image(files.degraded), read_image(files.target)
        if degraded.shape != target.shape:
            sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (degraded, target))
            raise DataError(f"{files.degraded}: degraded and target differ in size ({sizes} pixels)")
        return Pair(files.name, degraded, target)

    @property
    def fingerprint(self) -> str:
        """Of the files and of the code that reads them; how they were found and chosen does not matter."""
        named_files = ((name, file) for name, *files in self._files for file in files)
        return files_digest(named_files, [Path(__file__)])

    def pair_files(self, index: int) -> PairedFiles:
        """Return the name and the files of pair number `index`."""
        return PairedFiles(*self._files[index])

    @property
    def files(self) -> Sequence[Path]:
        """The image files, both of each pair."""
        return [file for _, *files in self._files for file in files]


def _folders(degraded: Path | None, target: Path | None, root: Path | None, layout: str | None) -> tuple[Path, Path]:
    """Return the two folders; raise DataError if options name none, or name them twice."""
    if root is not None and layout is not None:
        _refuse_beside("root and layout", degraded, target)
        names = LAYOUTS[layout]
        return root / names[0], root / names[1]
    if degraded is None or target is None or root is not None or layout is not None:
        raise DataError("paired_folders: give degraded and target, or root and layout, or pairs")
    return degraded, target


def _pairs_of(folders: tuple[Path, Path], degraded_name: str | None, target_name: str | None) -> list[PairedFiles]:
    if degraded_name is None and target_name is None:
        return by_equal_names(*folders)
    if degraded_name is None or target_name is None:
        raise DataError("paired_folders: give both degraded_name and target_name, e.g. '{id}_noisy' and '{id}_clean'")
    return by_templates(folders, (degraded_name, target_name))


def _refuse_beside(what: str, *others: object) -> None:
    if any(other is not None for other in others):
        raise DataError(f"paired_folders: {what} says where the pairs are; leave out the other options that do")
