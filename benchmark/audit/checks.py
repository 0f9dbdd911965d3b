"""From the measures of all pairs to what to mend and what to look at."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import isinf

from benchmark.audit import Case, Finding, Severity, outliers
from benchmark.audit.duplicates import Duplicates, are_alike, find_duplicates
from benchmark.audit.files import Folders
from benchmark.audit.pair_statistics import Measured, Measures, Unusable, label
from benchmark.audit.registration import DETECTABLE_PX
from benchmark.audit.swapped_pairs import brighter_damage, find_swapped

_TABLE: dict[str, tuple[Severity, str, str]] = {
    "unpaired": ("spoils", "images without partner", "a run refuses the folders; add the partner or take them out"),
    "unreadable": ("spoils", "unreadable or cut off", "a run stops there; replace or remove the pair"),
    "sizes": ("spoils", "sizes differ within a pair", "a run stops there; one image was resized or cropped"),
    "tiny": ("spoils", "too small to cut a patch", "sides below 16 px; remove the pair"),
    "unrelated": ("spoils", "the images of a pair show different pictures", "probably paired wrongly; check the names"),
    "shifted": (
        "spoils",
        "degraded and target are shifted",
        f"from {DETECTABLE_PX} px on; networks learn to blur; align the pair or remove it",
    ),
    "swapped": (
        "spoils",
        "degraded and target have probably changed places",
        "the damage points the other way than in the other pairs; change them back",
    ),
    "across": (
        "spoils",
        "the same target in two splits",
        "a network is tested on what it has seen; keep it in one split",
    ),
    "subjects": (
        "spoils",
        "the same subjects in two splits",
        "a run refuses them; give the splits different seeds, groups or folders",
    ),
    "profiles": (
        "spoils",
        "the colour profiles of a pair differ",
        "profiles are ignored, so the colours differ; convert both to sRGB",
    ),
    "duplicates": ("look", "the same target more than once", "counts more than once; keep copies in one split"),
    "equal": ("look", "degraded equals target", "nothing to restore, and a PSNR without bound"),
    "psnr": ("look", "the PSNR is far from the others", "another kind or strength of damage, or a wrong pair"),
    "reversed": (
        "look",
        "the damage is mostly brighter than the target",
        "meant with rain or noise in the dark; with spots the two folders have changed places",
    ),
    "files": (
        "look",
        "files of another kind than most",
        "what is not 8-bit sRGB is changed on reading, see the detail",
    ),
    "jpeg": (
        "look",
        "traces of JPEG in the target",
        "a network learns the blocks, too, and no score can be better than the target is",
    ),
}
"""Check -> severity, title, advice; in the order of reports."""


def find_all(
    measured: Sequence[Measured], folders: Folders | None, shared: Mapping[tuple[str, str], frozenset[str]]
) -> list[Finding]:
    """All findings that have cases.

    `folders`: of two folders, the names without partner; `shared`: of an experiment, the subjects that two splits have.
    """
    usable = [one for one in measured if isinstance(one, Measures)]
    found: dict[str, tuple[Case, ...]] = {"unpaired": _unpaired(folders) if folders else ()}
    found["subjects"] = tuple(
        Case(f"{one} and {other}", f"{len(subjects)} in both, e.g. {min(subjects)}")
        for (one, other), subjects in shared.items()
    )
    for reason in ("unreadable", "sizes", "tiny"):
        found[reason] = tuple(
            Case(label(one), one.detail) for one in measured if isinstance(one, Unusable) and one.reason == reason
        )
    found |= _of_pairs(usable) | _of_sets(usable) | _of_copies(usable)
    return [Finding(check, *about, found[check]) for check, about in _TABLE.items() if found[check]]


def _unpaired(folders: Folders) -> tuple[Case, ...]:
    degraded = (Case(name, "only in the degraded folder") for name in folders.only_degraded)
    return (*degraded, *(Case(name, "only in the target folder") for name in folders.only_target))


def _of_pairs(pairs: Sequence[Measures]) -> dict[str, tuple[Case, ...]]:
    """What a pair shows alone."""

    def cases(is_one: Callable[[Measures], bool], detail: Callable[[Measures], str]) -> tuple[Case, ...]:
        return tuple(Case(label(pair), detail(pair)) for pair in pairs if is_one(pair))

    return {
        "unrelated": cases(_is_unrelated, lambda pair: f"coherence {pair.shift.coherence:.2f}" if pair.shift else ""),
        "shifted": cases(_is_shifted, _shift_detail),
        "equal": cases(_is_equal, lambda _: "no pixel differs"),
        "profiles": outliers.different_profiles(pairs),
    }


def _is_equal(pair: Measures) -> bool:
    return isinf(pair.degradation.psnr_db)


def _is_unrelated(pair: Measures) -> bool:
    """Neither the edges nor the thumbnails agree: blur and noise, which may take all edges, leave the thumbnail."""
    return pair.shift is not None and not pair.shift.same_picture and not are_alike(pair.degraded, pair.target)


def _is_shifted(pair: Measures) -> bool:
    return pair.shift is not None and pair.shift.is_seen


def _shift_detail(pair: Measures) -> str:
    shift = pair.shift
    return f"degraded lies {shift.down_px:+.2f} px lower and {shift.right_px:+.2f} px further right" if shift else ""


def _of_sets(pairs: Sequence[Measures]) -> dict[str, tuple[Case, ...]]:
    """What a pair shows against the others, split by split."""
    found: dict[str, list[Case]] = {check: [] for check in ("swapped", "reversed", "psnr", "files", "jpeg")}
    for split in dict.fromkeys(pair.split for pair in pairs):
        mates = [pair for pair in pairs if pair.split == split]
        damages = [pair.degradation.damage for pair in mates]
        found["swapped"] += [Case(label(mates[place]), "") for place in find_swapped(damages) or ()]
        if brighter_damage(damages):
            found["reversed"].append(Case(split or "the whole set", f"{len(mates)} pairs"))
        found["psnr"] += outliers.psnr_outliers(mates)
        found["files"] += outliers.unusual_files(mates)
        found["jpeg"] += _jpeg_cases(mates)
    return {check: tuple(cases) for check, cases in found.items()}


def _jpeg_cases(pairs: Sequence[Measures]) -> list[Case]:
    """Targets saved as JPEG, and those that were once."""
    is_saved = [bool(pair.headers) and pair.headers[1].format == "JPEG" for pair in pairs]
    saved = [pair for pair, is_one in zip(pairs, is_saved, strict=True) if is_one]
    grids = [pair for pair, is_one in zip(pairs, is_saved, strict=True) if pair.block_grid and not is_one]
    files = [Case(label(pair), "saved as JPEG") for pair in saved]
    return files + [Case(label(pair), "its pixels step at every 8th row and column") for pair in grids]


def _of_copies(pairs: Sequence[Measures]) -> dict[str, tuple[Case, ...]]:
    across: list[Case] = []
    within: list[Case] = []
    for group in find_duplicates([pair.target for pair in pairs]):
        names = [label(pairs[place]) for place in group.members]
        splits = {pairs[place].split for place in group.members}
        (across if len(splits) > 1 else within).append(Case(" = ".join(names), _likeness(group, pairs)))
    return {"across": tuple(across), "duplicates": tuple(within)}


def _likeness(group: Duplicates, pairs: Sequence[Measures]) -> str:
    if group.exact:
        return "pixel by pixel"
    one, other = next(iter(combinations([pairs[place].target for place in group.members], 2)))
    return f"nearly; the first two differ in {(one.phash ^ other.phash).bit_count()} of 64 bits of the hash"
