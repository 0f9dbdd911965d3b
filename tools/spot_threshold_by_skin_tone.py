"""Is the fixed threshold of a spot fair: which share of the damaged pixels does it find on light and on dark skin?

    python tools/spot_threshold_by_skin_tone.py                 # 60 drawn faces of 256 px, all presets: some minutes
    python tools/spot_threshold_by_skin_tone.py --faces 400

A pixel counts as damaged where the true D of a channel is above 2 levels, as found where the rule of `damage_mask`
marks it (a channel differs by more than 30 levels). Each number is the mean over the faces of a group; the last line
of a preset is dark minus light with a 95 % interval over faces (Welch). CIEDE2000 says how visible the damage is.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from statistics import fmean

import numpy as np

from benchmark.data import Pair, damage_mask
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.evaluation.metrics.ciede2000_skin import ciede2000, lab_of
from benchmark.synthetic_faces import PRESETS
from reports.tables.skin_tones import group_of, welch_gap

_DAMAGED_LEVELS = 2
_HEADS = ("found, % of damaged px", "mean |D|, levels", "mean CIEDE2000", "damaged, % of image", "spots, % of image")


@dataclass(frozen=True)
class FaceDamage:
    """What the threshold makes of the damage of one face."""

    found_percent: float
    """Of the damaged pixels."""
    mean_levels: float
    """Largest channel of |D|, mean over the damaged pixels."""
    mean_difference: float
    """CIEDE2000 of degraded and target, mean over the damaged pixels."""
    damaged_percent: float
    """Of the image."""
    spots_percent: float
    """Of the image, as `damage_mask` has it, before dilation."""


def measure(pair: Pair) -> FaceDamage | None:
    """Return the numbers of a pair with true maps; None where nothing is damaged."""
    assert pair.spots is not None
    levels = 255 * np.abs(pair.spots.astype(np.float32)).max(axis=2)
    damaged, over = levels > _DAMAGED_LEVELS, damage_mask(pair.degraded, pair.target)
    if not damaged.any():
        return None
    differences = ciede2000(lab_of(pair.degraded, damaged), lab_of(pair.target, damaged))
    return FaceDamage(
        found_percent=100 * float(over[damaged].mean()),
        mean_levels=float(levels[damaged].mean()),
        mean_difference=float(differences.mean()),
        damaged_percent=100 * float(damaged.mean()),
        spots_percent=100 * float(over.mean()),
    )


def by_group(pairs: Iterator[Pair]) -> dict[str, list[FaceDamage]]:
    """Return the faces of each group of skin tone."""
    groups: dict[str, list[FaceDamage]] = {name: [] for name in ("light", "intermediate", "tan", "dark")}
    for pair in pairs:
        if pair.skin_tone is not None and (damage := measure(pair)):
            groups[group_of(pair.skin_tone)].append(damage)
    return groups


def lines_of(preset: str, groups: Mapping[str, list[FaceDamage]]) -> list[str]:
    """Return a Markdown table of a preset."""
    lines = [f"| {preset} | faces | {' | '.join(_HEADS)} |", f"|---|--:|{'--:|' * len(_HEADS)}"]
    columns = {name: list(zip(*map(astuple, faces), strict=True)) for name, faces in groups.items() if faces}
    for name, values in columns.items():
        lines.append(f"| {name} | {len(groups[name])} | {' | '.join(f'{fmean(column):.2f}' for column in values)} |")
    gaps = (
        welch_gap(dark, light) for dark, light in zip(columns.get("dark", ()), columns.get("light", ()), strict=False)
    )
    cells = [f"{gap.difference:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]" if gap else "–" for gap in gaps]
    return [*lines, f"| dark − light | | {' | '.join(cells)} |"] if cells else lines


def main() -> None:
    """Print a table for each preset."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--faces", type=int, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for preset in PRESETS:
        source = SyntheticFaces(preset, options.faces, options.size, options.seed)
        groups = by_group(source.read(index) for index in range(len(source)))
        print("\n".join(["", *lines_of(preset, groups)]), flush=True)


if __name__ == "__main__":
    main()
