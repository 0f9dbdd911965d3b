"""What an experiment was tested on, and whether two experiments were tested on the same images.

Doing nothing (row `identity`) has scores that depend on the pairs and on how metrics are computed, and on nothing else:
if they agree image by image, pixels and metrics are the same, wherever the files lie. Only where a run has no such
row do names and settings have to do.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Mapping
from dataclasses import dataclass

from reports import text
from reports.results import Results
from reports.results.settings import section
from reports.results.summary import IDENTITY, SPLIT

_TOLERANCE = 1e-4
"""Relative and absolute: metrics in float32 differ so much between devices and versions of torch."""
_PSNR_TOLERANCE = 1e-6
"""PSNR is computed in float64: a single pixel that differs by one level shows in it."""


@dataclass(frozen=True)
class ScoredImages:
    """The test images of one experiment."""

    experiment: str
    images: frozenset[str]
    untouched: Mapping[tuple[str, str], float]
    """(image, metric) -> value of doing nothing; empty where the run has no such row."""
    settings: Mapping[str, str]
    """The settings of `data.test`; empty where the run has no readable experiment.yaml."""


def scored_images(experiment: str, results: Results) -> ScoredImages:
    """What the rows of `results` were tested on; `experiment` is its name in messages."""
    lines = results.scores.loc[results.scores["split"] == SPLIT]
    floor = lines.loc[lines["row"] == IDENTITY]
    keys = zip(floor["image"].tolist(), floor["metric"].tolist(), strict=True)
    return ScoredImages(
        experiment=experiment,
        images=frozenset(lines["image"].tolist()),
        untouched=dict(zip(keys, floor["value"].tolist(), strict=True)),
        settings=section(results.experiment_yaml, "data", "test"),
    )


def mismatch(one: ScoredImages, other: ScoredImages) -> str:
    """Why the two were not, or not surely, tested on the same images; empty where they were."""
    for side in (one, other):
        if not side.images:
            return f"{side.experiment} has no scores of test images (no row finished, or scores.csv is missing)"
    if one.images != other.images:
        return _other_names(one, other)
    if _is_proof(one, other):
        return _other_pixels(one, other)
    if one.settings and one.settings == other.settings:
        return ""
    lacking = text.listing([side.experiment for side in (one, other) if not side.untouched])
    return (
        f"nothing shows that the test images of {one.experiment} and {other.experiment} are the same: their names "
        f"agree, the settings of data.test do not, and scores of row {IDENTITY}, which compare pixels, are missing "
        f"in {lacking or 'part'}; `python -m benchmark run` adds them"
    )


def evidence(one: ScoredImages, other: ScoredImages) -> str:
    """What shows that the two were tested on the same images; of two for which there is no `mismatch`."""
    images = text.count(len(one.images), "test image")
    pair = f"{one.experiment} and {other.experiment}"
    if _is_proof(one, other):
        return f"Same test data in {pair}: row {IDENTITY} scores the same on each of {images}."
    return (
        f"Same test data in {pair}, by the names of {images} and the settings of data.test alone: "
        f"there is no row {IDENTITY} in both to compare pixels by."
    )


def description(data: ScoredImages) -> str:
    """The test data in a few words: number of images and the settings of their source."""
    settings = [f"{name} {value}" for name, value in data.settings.items() if name not in ("source", "count")]
    words = [text.count(len(data.images), "image"), data.settings.get("source", ""), *settings]
    return text.printable(", ".join(word for word in words if word))


def _is_proof(one: ScoredImages, other: ScoredImages) -> bool:
    """Whether both have scores of doing nothing for every image, in a metric that both have."""
    covered = frozenset(image for image, name in one.untouched if (image, name) in other.untouched)
    return covered == one.images


def _other_names(one: ScoredImages, other: ScoredImages) -> str:
    shared = len(one.images & other.images)
    return (
        f"the test images differ: {one.experiment} has {len(one.images)} ({description(one)}), {other.experiment} has "
        f"{len(other.images)} ({description(other)}), {shared} of equal names; run one of them again with the "
        "data.test of the other"
    )


def _other_pixels(one: ScoredImages, other: ScoredImages) -> str:
    shared = one.untouched.keys() & other.untouched.keys()
    unequal = [key for key in shared if not _agree(key[1], one.untouched[key], other.untouched[key])]
    if not unequal:
        return ""
    images, names = {image for image, _ in unequal}, sorted({name for _, name in unequal})
    what = "the images, or how they are scored," if len(images) == len(one.images) else "some images"
    return (
        f"{what} differ: row {IDENTITY}, which does nothing, scores differently in {one.experiment} and "
        f"{other.experiment} on {len(images)} of {len(one.images)} test images ({text.listing(names)}); "
        "run one of them again with the data.test of the other"
    )


def _agree(name: str, value: float, other: float) -> bool:
    tolerance = _PSNR_TOLERANCE if name.startswith("psnr") else _TOLERANCE
    return math.isclose(value, other, rel_tol=tolerance, abs_tol=tolerance)
