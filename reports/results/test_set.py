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
    identity = lines.loc[lines["row"] == IDENTITY]
    keys = zip(identity["image"].tolist(), identity["metric"].tolist(), strict=True)
    return ScoredImages(
        experiment=experiment,
        images=frozenset(lines["image"].tolist()),
        untouched=dict(zip(keys, identity["value"].tolist(), strict=True)),
        settings=section(results.experiment_yaml, "data", "test"),
    )


def mismatch(first: ScoredImages, second: ScoredImages) -> str:
    """Why the two were not, or not surely, tested on the same images; empty where they were."""
    for side in (first, second):
        if not side.images:
            return f"{side.experiment} has no scores of test images (no row finished, or scores.csv is missing)"
    if first.images != second.images:
        return _other_names(first, second)
    if _is_proof(first, second):
        return _other_pixels(first, second)
    if first.settings and first.settings == second.settings:
        return ""
    lacking = text.listing([side.experiment for side in (first, second) if not side.untouched])
    return (
        f"nothing shows that the test images of {first.experiment} and {second.experiment} are the same: their names "
        f"agree, the settings of data.test do not, and scores of row {IDENTITY}, which compare pixels, are missing "
        f"in {lacking or 'part'}; `python -m benchmark run` adds them"
    )


def evidence(first: ScoredImages, second: ScoredImages) -> str:
    """What shows that the two were tested on the same images; of two for which there is no `mismatch`."""
    images = text.count(len(first.images), "test image")
    pair = f"{first.experiment} and {second.experiment}"
    if _is_proof(first, second):
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


def _is_proof(first: ScoredImages, second: ScoredImages) -> bool:
    """Whether both have scores of doing nothing for every image, in a metric that both have."""
    covered = frozenset(image for image, name in first.untouched if (image, name) in second.untouched)
    return covered == first.images


def _other_names(first: ScoredImages, second: ScoredImages) -> str:
    shared = len(first.images & second.images)
    return (
        f"the test images differ: {first.experiment} has {len(first.images)} ({description(first)}), "
        f"{second.experiment} has {len(second.images)} ({description(second)}), "
        f"{shared} of equal names; run one of them again with the "
        "data.test of the other"
    )


def _other_pixels(first: ScoredImages, second: ScoredImages) -> str:
    shared = first.untouched.keys() & second.untouched.keys()
    unequal = [key for key in shared if not _agree(key[1], first.untouched[key], second.untouched[key])]
    if not unequal:
        return ""
    images, names = {image for image, _ in unequal}, sorted({name for _, name in unequal})
    subject = "the images, or how they are scored," if len(images) == len(first.images) else "some images"
    return (
        f"{subject} differ: row {IDENTITY}, which does nothing, scores differently in {first.experiment} and "
        f"{second.experiment} on {len(images)} of {len(first.images)} test images ({text.listing(names)}); "
        "run one of them again with the data.test of the other"
    )


def _agree(name: str, value: float, other: float) -> bool:
    tolerance = _PSNR_TOLERANCE if name.startswith("psnr") else _TOLERANCE
    return math.isclose(value, other, rel_tol=tolerance, abs_tol=tolerance)
