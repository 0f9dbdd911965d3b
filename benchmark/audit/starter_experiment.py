"""A ready-to-run experiment on the usable pairs of two folders.

The pairs are split into train, val and test, copies of one picture together, in an order that depends on their names
alone. The splits are folders of links beside the experiment: the user's folders stay as they are, and what spoils a
comparison is left out.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmark.audit.duplicates import find_duplicates
from benchmark.audit.pair_statistics import Measures
from benchmark.data.pairing import PairedFiles

LINKS_FOLDER: Final = "pairs"
_TEST_SHARE: Final = 0.15
_VAL_SHARE: Final = 0.05
_PATCHES_PX: Final = (64, 96)
_STRUCTURE_SIDE_PX: Final = 80
"""MS-SSIM with a window of 5 needs sides over 64 px."""

Splits = Mapping[str, Sequence[str]]


def split(pairs: Sequence[Measures]) -> Splits | None:
    """Names by split; None where fewer than three different pictures are left."""
    grouped = {place: number for number, group in enumerate(_groups(pairs)) for place in group}
    groups: dict[int, list[str]] = {}
    for place, pair in enumerate(pairs):
        groups.setdefault(grouped[place], []).append(pair.name)
    if len(groups) < 3:
        return None
    ordered = sorted(groups.values(), key=lambda names: hashlib.sha256(names[0].encode(errors="replace")).digest())
    test, val = (max(1, round(share * len(ordered))) for share in (_TEST_SHARE, _VAL_SHARE))
    parts = {"train": ordered[test + val :], "val": ordered[test : test + val], "test": ordered[:test]}
    return {name: sorted(one for group in part for one in group) for name, part in parts.items()}


def _groups(pairs: Sequence[Measures]) -> list[tuple[int, ...]]:
    copies = [group.members for group in find_duplicates([pair.target for pair in pairs])]
    alone = set(range(len(pairs))) - {place for members in copies for place in members}
    return [*copies, *((place,) for place in sorted(alone))]


def link(splits: Splits, pairs: Sequence[PairedFiles], output: Path) -> None:
    """Lay `output/pairs/SPLIT/ROLE/NAME` anew: links, or copies where the file system has none. Raises OSError."""
    files = {pair.name: pair for pair in pairs}
    if (output / LINKS_FOLDER).exists():
        shutil.rmtree(output / LINKS_FOLDER)
    for part, names in splits.items():
        for name in names:
            for role, file in (("degraded", files[name].degraded), ("target", files[name].target)):
                _link(file.resolve(), output / LINKS_FOLDER / part / role / f"{name}{file.suffix}")


def _link(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(file)
    except (OSError, NotImplementedError):
        place.unlink(missing_ok=True)  # through a link that is left, a copy would write into the user's image
        shutil.copy2(file, place)


def experiment(name: str, splits: Splits, smallest_side: int) -> str:
    """The YAML text; `smallest_side`: of all images, in pixels."""
    small, large = (min(side, smallest_side) for side in _PATCHES_PX)
    sources = "\n".join(
        f"  {part}: {{source: paired_folders, degraded: {LINKS_FOLDER}/{part}/degraded, "
        f"target: {LINKS_FOLDER}/{part}/target}}   # {len(names)} {'pair' if len(names) == 1 else 'pairs'}"
        for part, names in splits.items()
    )
    batch = min(4, len(splits["train"]))
    last = _SCORE_STAGE.format(batch=batch, patch=large) if smallest_side >= _STRUCTURE_SIDE_PX else ""
    order = "coarse, psnr, score" if last else "coarse, psnr"
    return _TEMPLATE.format(name=safe_name(name), sources=sources, order=order, batch=batch, patch=small, last=last)


def safe_name(name: str) -> str:
    """A name that an experiment may have."""
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
