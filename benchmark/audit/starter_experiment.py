"""Starter experiment: a ready-to-run experiment file on the usable pairs of two folders.

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
_VAL_SHARE: Final = 0.05
_PATCHES_PX: Final = (64, 96)
_STRUCTURE_SIDE_PX: Final = 80
"""MS-SSIM with a window of 5 needs sides over 64 px."""

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


def experiment_text(name: str, splits: Splits, smallest_side: int) -> str:
    """Return the YAML text of the experiment.

    Args:
        name: the name of the data.
        splits: names of pairs by split.
        smallest_side: the shortest side of all images, in pixels.
    """
    small, large = (min(side, smallest_side) for side in _PATCHES_PX)
    sources = "\n".join(
        f"  {split}: {{source: paired_folders, degraded: {LINKS_FOLDER}/{split}/degraded, "
        f"target: {LINKS_FOLDER}/{split}/target}}   # {len(names)} {'pair' if len(names) == 1 else 'pairs'}"
        for split, names in splits.items()
    )
    batch = min(4, len(splits["train"]))
    last = _SCORE_STAGE.format(batch=batch, patch=large) if smallest_side >= _STRUCTURE_SIDE_PX else ""
    order = "coarse, psnr, score" if last else "coarse, psnr"
    return _TEMPLATE.format(name=safe_name(name), sources=sources, order=order, batch=batch, patch=small, last=last)


def safe_name(name: str) -> str:
    """Return a name that an experiment may have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:80] or "data"


_TEMPLATE = """\
# Written by `data check`. Steps are few: enough to see that all works; raise them for an answer that holds.
name: "{name}"
data:
{sources}
model:
  backbone: {{name: gunet, size: tiny}}
  head: {{name: degradation}}
protocol:
  order: [{order}]
  coarse:
    steps: 70
    batch: {batch}
    patch: {patch}
    lr: 5e-3
    schedule: {{final_share: 0.1}}
    loss: {{l1: 1.0, color: {{weight: 1.0, mode: cosine}}}}
    augment: {{flip: {{}}, rotate90: {{}}}}
  psnr:
    steps: 420
    batch: {batch}
    patch: {patch}
    lr: 6e-3
    schedule: {{warmup_steps: 20}}
    optimizer: {{betas: [0.9, 0.99]}}
    clip_norm: 5.0
    loss: {{psnr: 1.0}}
    augment: {{horizontal_flip: {{}}}}
{last}gates:
  size: {{limit_bytes: 10_000_000}}
seeds: [0, 1]
report: {{primary: psnr, equivalence_margin: 0.1}}
tables:
  backbones:
    nafnet: {{model.backbone: {{name: nafnet, size: tiny}}, protocol.psnr.lr: 4e-3}}
  heads:
    direct_rgb: {{model.head: {{name: rgb}}}}
"""

_SCORE_STAGE = """\
  score:
    steps: 15
    batch: {batch}
    patch: {patch}
    lr: 2e-4
    loss: {{psnr: 0.01, ms_ssim: {{weight: 1.0, window_size: 5}}}}
    augment: {{horizontal_flip: {{}}}}
"""
