"""Starter experiment: the usable pairs of two folders in splits, for the file that `starter_recipe` writes.

The pairs are split into train, val and test, copies of one picture together, in an order that depends on their names
alone. The splits are folders of links beside the experiment: the user's folders are not changed, and pairs with errors
are left out.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmark.audit.duplicates import find_duplicates
from benchmark.audit.measurements import PairMeasurements
from benchmark.data.pairing import PairedFiles

LINKS_FOLDER: Final = "pairs"
_TEST_SHARE: Final = 0.15
_VAL_SHARE: Final = 0.1

Splits = Mapping[str, Sequence[str]]


def split_pairs(pairs: Sequence[PairMeasurements]) -> Splits | None:
    """Return the names of pairs by split; None if there are fewer than three different pictures."""
    copies = [group.members for group in find_duplicates([pair.target for pair in pairs])]
    first_of = {place: members[0] for members in copies for place in members}
    groups: dict[int, list[str]] = {}
    for place, pair in enumerate(pairs):
        groups.setdefault(first_of.get(place, place), []).append(pair.name)
    if len(groups) < 3:
        return None
    ordered = sorted(groups.values(), key=lambda names: hashlib.sha256(names[0].encode(errors="replace")).digest())
    test, val = (max(1, round(share * len(ordered))) for share in (_TEST_SHARE, _VAL_SHARE))
    parts = {"train": ordered[test + val :], "val": ordered[test : test + val], "test": ordered[:test]}
    return {split: sorted(name for names in part for name in names) for split, part in parts.items()}


def link_pairs(splits: Splits, pairs: Sequence[PairedFiles], output: Path) -> None:
    """Write the folders `output/pairs/SPLIT/ROLE` anew, with links, or copies where the file system has no links.

    Raises:
        OSError: the folder cannot be written.
    """
    files = {pair.name: pair for pair in pairs}
    if (output / LINKS_FOLDER).exists():
        shutil.rmtree(output / LINKS_FOLDER)
    for split, names in splits.items():
        for name in names:
            for role, file in (("degraded", files[name].degraded), ("target", files[name].target)):
                _link(file.resolve(), output / LINKS_FOLDER / split / role / f"{name}{file.suffix}")


def _link(file: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(file)
    except (OSError, NotImplementedError):
        link.unlink(missing_ok=True)  # a copy through an existing link would overwrite the user's image
        shutil.copy2(file, link)


def safe_name(name: str) -> str:
    """Return a name that an experiment may have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:80] or "data"
