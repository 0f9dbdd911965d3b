"""Checks: from the measurements of all pairs to errors and warnings, and all of it as data for `audit.json`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite, isinf
from typing import Any, Final

from benchmark.audit import Case, Finding, Severity
from benchmark.audit.duplicates import are_alike, find_duplicates
from benchmark.audit.measurements import Folders, MeasuredPair, PairMeasurements, UnusablePair, label
from benchmark.audit.outliers import (
    brighter_damage,
    different_profiles,
    find_swapped,
    one_per_note,
    psnr_outliers,
    unusual_files,
)
from benchmark.audit.registration import DETECTABLE_PX
from benchmark.errors import counted

SCHEMA: Final = 2
"""Version of `audit.json`."""
_CHECKS: dict[str, tuple[Severity, str, str]] = {
    "unpaired": ("error", "images without partner", "a run refuses the folders; add the partner or take them out"),
    "unreadable": ("error", "unreadable or cut off", "a run stops there; replace or remove the pair"),
    "sizes": ("error", "sizes differ within a pair", "a run stops there; one image was resized or cropped"),
    "tiny": ("error", "too small to cut a patch", "sides below 16 px; remove the pair"),
    "unrelated": ("error", "the images of a pair show different pictures", "probably paired wrongly; check the names"),
    "shifted": (
        "error",
        "degraded and target are shifted",
        f"from {DETECTABLE_PX} px on; networks learn to blur; align the pair or remove it",
    ),
    "swapped": (
        "error",
        "degraded and target are probably swapped",
        "the damage points the other way than in the other pairs; swap them back",
    ),
    "across": (
        "error",
        "the same target in two splits",
        "a network is tested on images it was trained on; keep it in one split",
    ),
    "subjects": (
        "error",
        "the same subjects in two splits",
        "a run refuses them; give the splits different seeds, groups or folders",
    ),
    "profiles": (
        "error",
        "the colour profiles of a pair differ",
        "profiles are ignored, so the colours differ; convert both to sRGB",
    ),
    "duplicates": ("warning", "the same target more than once", "counts more than once; keep copies in one split"),
    "equal": ("warning", "degraded equals target", "nothing to restore, and an infinite PSNR"),
    "psnr": ("warning", "the PSNR is far from the others", "another kind or strength of damage, or a wrong pair"),
    "reversed": (
        "warning",
        "the damage is mostly brighter than the target",
        "meant with rain or noise in the dark; with spots the two folders are swapped",
    ),
    "files": (
        "warning",
        "files of another colour mode or depth than most",
        "files that are not 8-bit sRGB are converted on reading, see the detail",
    ),
    "others": (
        "warning",
        "files that are not read",
        "of no format that is read; convert those that are images",
    ),
    "jpeg": (
        "warning",
        "traces of JPEG in the target",
        "a network learns the blocks, too, and scores measure agreement with them",
    ),
}
"""Check -> severity, title, advice; in the order of reports."""


def find_all(
    pairs: Sequence[MeasuredPair], folders: Folders | None, shared: Mapping[tuple[str, str], frozenset[str]]
) -> list[Finding]:
    """Return all findings that have cases, errors first.

    Args:
        pairs: the measurements of all pairs.
        folders: of two folders, what they hold.
        shared: of an experiment, the subjects that two splits share.
    """
    usable = [pair for pair in pairs if isinstance(pair, PairMeasurements)]
    cases = {**_per_pair(usable), **_per_split(usable), **_copies(usable)}
    if folders:
        cases |= _per_folder(folders)
    cases["subjects"] = [
        Case(f"{first} and {second}", f"{len(subjects)} in both, e.g. {min(subjects)}")
        for (first, second), subjects in shared.items()
    ]
    for pair in pairs:
        if isinstance(pair, UnusablePair):
            cases.setdefault(pair.reason, []).append(Case(label(pair), pair.detail))
    return [Finding(check, *texts, tuple(cases[check])) for check, texts in _CHECKS.items() if cases.get(check)]


def _per_folder(folders: Folders) -> dict[str, list[Case]]:
    """Return images without partner, and the other files, a case for each suffix."""
    cases: dict[str, list[Case]] = {"unpaired": [], "others": []}
    degraded, target = folders.degraded, folders.target
    for role, own, other in (("degraded", degraded, target), ("target", target, degraded)):
        lonely = sorted(own.images.keys() - other.images.keys())
        cases["unpaired"] += [Case(name, f"only in the {role} folder") for name in lonely]
        cases["others"] += one_per_note(
            (f"{role}: {file.suffix.lower() or 'no suffix'}", file.name) for file in own.others
        )
    return cases


def _per_pair(pairs: Sequence[PairMeasurements]) -> dict[str, list[Case]]:
    """Return what a pair shows alone."""
    shifts = [(pair, pair.shift) for pair in pairs if pair.shift is not None]
    return {
        "unrelated": [
            Case(label(pair), f"coherence {shift.coherence:.2f}")
            for pair, shift in shifts
            if not shift.same_picture and not are_alike(pair.degraded, pair.target)  # noise may hide edges alone
        ],
        "shifted": [
            Case(
                label(pair),
                f"degraded lies {shift.down_px:+.2f} px lower and {shift.right_px:+.2f} px further right",
            )
            for pair, shift in shifts
            if shift.is_seen
        ],
        "equal": [Case(label(pair), "no pixel differs") for pair in pairs if isinf(pair.degradation.psnr_db)],
        "profiles": different_profiles(pairs),
    }


def _per_split(pairs: Sequence[PairMeasurements]) -> dict[str, list[Case]]:
    """Return what a pair shows beside the others of its split."""
    cases: dict[str, list[Case]] = {check: [] for check in ("swapped", "reversed", "psnr", "files", "jpeg")}
    for split in dict.fromkeys(pair.split for pair in pairs):
        members = [pair for pair in pairs if pair.split == split]
        damages = [pair.degradation.damage for pair in members]
        cases["swapped"] += [Case(label(members[place]), "") for place in find_swapped(damages) or ()]
        if brighter_damage(damages):
            cases["reversed"].append(Case(split or "the whole set", counted(len(members), "pair")))
        cases["psnr"] += psnr_outliers(members)
        cases["files"] += unusual_files(members)
        jpegs = [("saved as JPEG", label(pair)) for pair in members if _is_jpeg_file(pair)]
        grids = [pair for pair in members if pair.block_grid and not _is_jpeg_file(pair)]
        cases["jpeg"] += one_per_note(
            jpegs + [("pixels step at every 8th row and column", label(pair)) for pair in grids]
        )
    return cases


def _is_jpeg_file(pair: PairMeasurements) -> bool:
    return pair.headers is not None and pair.headers[1].format in ("JPEG", "MPO")


def _copies(pairs: Sequence[PairMeasurements]) -> dict[str, list[Case]]:
    """Return groups of equal or nearly equal targets: across splits and within one."""
    cases: dict[str, list[Case]] = {"across": [], "duplicates": []}
    for group in find_duplicates([pair.target for pair in pairs]):
        members = [pairs[place] for place in group.members]
        bits = (members[0].target.phash ^ members[1].target.phash).bit_count()
        nearly = "mirrored" if group.mirrored else f"nearly; the first two differ in {bits} of 64 bits of the hash"
        check = "across" if len({pair.split for pair in members}) > 1 else "duplicates"
        detail = "pixel by pixel" if group.exact else nearly
        cases[check].append(Case(" = ".join(map(label, members)), detail))
    return cases


def as_data(
    name: str, origins: Sequence[str], pairs: Sequence[MeasuredPair], findings: Iterable[Finding], experiment: str
) -> dict[str, Any]:
    """Return the audit as data for JSON, without NaN and infinity: the PSNR of equal images is null.

    Args:
        name: the name of the data.
        origins: what was read.
        pairs: the measurements of all pairs.
        findings: what the checks found.
        experiment: the YAML of the starter experiment, empty if there is none.
    """
    return _encodable(
        {
            "schema": SCHEMA,
            "name": name,
            "origins": list(origins),
            "unusable": sum(isinstance(pair, UnusablePair) for pair in pairs),
            "findings": [asdict(finding) for finding in findings],
            "pairs": [_pair_data(pair) for pair in pairs if isinstance(pair, PairMeasurements)],
            "experiment_yaml": experiment,
        }
    )


def _pair_data(pair: PairMeasurements) -> dict[str, Any]:
    psnr = pair.degradation.psnr_db
    shift = None if pair.shift is None else {**asdict(pair.shift), "pixels": pair.shift.pixels}
    size = {"name": pair.name, "split": pair.split, "height": pair.height, "width": pair.width}
    return {**size, **asdict(pair.degradation), "psnr_db": psnr if isfinite(psnr) else None, "shift": shift}


def _encodable(value: Any) -> Any:
    """Return a value with names that are no Unicode, as file names may be, escaped; tuples become lists."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value
