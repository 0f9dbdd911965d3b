"""Were the rows of two experiments tested on the same images?

The scores of the baseline `identity` depend on the pairs and on how metrics are computed, and on nothing else. If they
agree image by image, pixels and metrics are the same, wherever the files lie. Names and settings decide only where a
run lacks this baseline.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from reports import text
from reports.results import Results
from reports.results.load import parsed_yaml
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
    """(image, metric) -> value of the baseline `identity`; empty where the run lacks it."""
    settings: Mapping[str, str]
    """The settings of `data.test`; empty where the run has no readable experiment.yaml."""


def scored_images(experiment: str, results: Results, test_set: str = SPLIT) -> ScoredImages:
    """Return what the rows of `results` were tested on.

    Args:
        experiment: Its name in messages.
        results: The run.
        test_set: The images of this test set.
    """
    lines = results.scores.loc[results.scores["split"] == test_set]
    identity = lines.loc[lines["row"] == IDENTITY]
    keys = zip(identity["image"].tolist(), identity["metric"].tolist(), strict=True)
    return ScoredImages(
        experiment=experiment,
        images=frozenset(lines["image"].tolist()),
        untouched=dict(zip(keys, identity["value"].tolist(), strict=True)),
        settings=section(
            results.experiment_yaml, "data", *([SPLIT] if test_set == SPLIT else ["more_tests", test_set])
        ),
    )


def mismatch(first: ScoredImages, second: ScoredImages) -> str:
    """Return why the two were not, or not surely, tested on the same images; empty where they were."""
    for side in (first, second):
        if not side.images:
            return f"{side.experiment} has no scores of test images (no row finished, or scores.csv is missing)"
    if first.images != second.images:
        return (
            f"the test images differ: {first.experiment} has {len(first.images)} ({description(first)}), "
            f"{second.experiment} has {len(second.images)} ({description(second)}), "
            f"{len(first.images & second.images)} of equal names; run one of them again with the data.test of the other"
        )
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
    """Return what shows that two experiments without `mismatch` were tested on the same images."""
    images = text.count(len(first.images), "test image")
    pair = f"{first.experiment} and {second.experiment}"
    if _is_proof(first, second):
        return f"Same test data in {pair}: row {IDENTITY} scores the same on each of {images}."
    return (
        f"Same test data in {pair}, by the names of {images} and the settings of data.test alone: "
        f"there is no row {IDENTITY} in both to compare pixels by."
    )


def description(data: ScoredImages) -> str:
    """Return the test data in a few words: number of images and the settings of their source."""
    settings = [f"{name} {value}" for name, value in data.settings.items() if name not in ("source", "count")]
    words = [text.count(len(data.images), "image"), data.settings.get("source", ""), *settings]
    return text.printable(", ".join(word for word in words if word))


def _is_proof(first: ScoredImages, second: ScoredImages) -> bool:
    """Return whether both have scores of `identity` for every image, in a metric that both have."""
    covered = frozenset(image for image, name in first.untouched if (image, name) in second.untouched)
    return covered == first.images


def _other_pixels(first: ScoredImages, second: ScoredImages) -> str:
    shared = first.untouched.keys() & second.untouched.keys()
    differing = [key for key in shared if not agree(key[1], first.untouched[key], second.untouched[key])]
    if not differing:
        return ""
    images, names = {image for image, _ in differing}, sorted({name for _, name in differing})
    subject = "the images, or how they are scored," if len(images) == len(first.images) else "some images"
    return (
        f"{subject} differ: row {IDENTITY}, which does nothing, scores differently in {first.experiment} and "
        f"{second.experiment} on {len(images)} of {len(first.images)} test images ({text.listing(names)}); "
        "run one of them again with the data.test of the other"
    )


def agree(name: str, value: float, other: float) -> bool:
    """Tell whether two values of a metric are equal, but for what devices and versions of torch may change."""
    tolerance = _PSNR_TOLERANCE if name.startswith("psnr") else _TOLERANCE
    return math.isclose(value, other, rel_tol=tolerance, abs_tol=tolerance)


def section(experiment_yaml: str, *path: str) -> dict[str, str]:
    """Return the settings below `path`, as dotted name -> text; empty where the file lacks them or is not readable."""
    settings = parsed_yaml(experiment_yaml)
    for name in path:
        settings = cast(Mapping[Any, Any], settings).get(name) if isinstance(settings, dict) else None
    return _flat(cast(Mapping[Any, Any], settings)) if isinstance(settings, dict) else {}


def unequal(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Return `name value against value` for each setting in which the two differ, in the order of the first."""
    return [
        f"{name} {first.get(name, 'not set')} against {second.get(name, 'not set')}"
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(cast(Mapping[Any, Any], value), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(cast(object, value))
    return flat
