"""Several experiments as one: their rows under one plan, and whether they were tested on the same images.

The scores of the baseline `identity` depend on the pairs and on how metrics are computed, and on nothing else. If they
agree image by image, pixels and metrics are the same, wherever the files lie. Names and settings decide only where a
run lacks this baseline.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pandas as pd

from reports import text
from reports.results import Results
from reports.results.load import parsed_yaml
from reports.results.summary import IDENTITY, SPLIT
from reports.schema import PlanFile, PlanRow, Record

_EQUAL_BASELINES = 1e-6
"""Relative tolerance within which the scores of two baselines count as equal."""


def named(results: Sequence[Results]) -> dict[str, Results]:
    """Return each result by the name of its experiment, or of its folder where those repeat, or by its path.

    Of results with the same path, the last one is kept.
    """
    by_experiment = {item.plan.experiment: item for item in results}
    by_folder = {item.folder.resolve().name: item for item in results}
    by_path = {str(item.folder): item for item in results}
    return next((names for names in (by_experiment, by_folder) if len(names) == len(results)), by_path)


def row_name(experiment: str, row: str) -> str:
    """Return the name of a row among those of several experiments."""
    return f"{experiment}/{row}"


def merged(experiments: Mapping[str, Results], seeds: Collection[int] | None = None) -> Results:
    """Return all rows of the experiments (at least one), called `<experiment>/<row>`, with the plan of the first one.

    Rows belong to no table. A baseline that scores the same as that of an earlier experiment is left out. Pictures are
    not found: they are in the folders of the experiments.

    Args:
        experiments: Results by the name of their experiment.
        seeds: The seeds to keep; None keeps all.
    """
    parts = [_part(name, results, seeds) for name, results in _without_repeated_baselines(experiments).items()]
    first = next(iter(experiments.values()))
    rows = tuple(row for part in parts for row in part.plan.rows)
    update = {
        "experiment": " and ".join(experiments),
        "seeds": tuple(sorted({seed for row in rows for seed in row.seeds if seed is not None})),
        "rows": rows,
        "command": "",
        "claims": (),
    }
    return replace(
        first,
        plan=first.plan.model_copy(update=update),
        records=tuple(record for part in parts for record in part.records),
        problems=tuple(problem for part in parts for problem in part.problems),
        notes=tuple(note for part in parts for note in part.notes),
        scores=pd.concat([part.scores for part in parts], ignore_index=True),
        curves=pd.concat([part.curves for part in parts], ignore_index=True),
        experiment_yaml="",
    )


def restricted(results: Results, rows: Collection[str]) -> Results:
    """Return the results of these rows alone, without the problems of others."""
    return replace(
        results,
        plan=_with_rows(results.plan, (row for row in results.plan.rows if row.row in rows)),
        records=tuple(record for record in results.records if record.row in rows),
        problems=tuple(problem for problem in results.problems if problem.row in rows),
        scores=results.scores.loc[results.scores["row"].isin(list(rows))],
        curves=results.curves.loc[results.curves["row"].isin(list(rows))],
    )


def _part(experiment: str, results: Results, seeds: Collection[int] | None) -> Results:
    """Return one experiment with its rows renamed and other seeds left out."""

    def is_kept(seed: int | None) -> bool:
        return seeds is None or seed is None or seed in seeds

    rows = {row.row for row in results.plan.rows}
    plan_rows = (
        row.model_copy(
            update={
                "row": row_name(experiment, row.row),
                "table": None,
                "seeds": tuple(filter(is_kept, row.seeds)),
            }
        )
        for row in results.plan.rows
    )
    return replace(
        results,
        plan=_with_rows(results.plan, plan_rows),
        records=tuple(
            record.model_copy(update={"row": row_name(experiment, record.row), "tables": ()})
            for record in results.records
            if record.row in rows and is_kept(record.seed)
        ),
        problems=tuple(
            replace(problem, row=row_name(experiment, problem.row))
            for problem in results.problems
            if is_kept(problem.seed)
        ),
        notes=tuple(f"{experiment}: {note}" for note in results.notes),
        scores=_frame(experiment, results.scores, rows, seeds),
        curves=_frame(experiment, results.curves, rows, seeds),
    )


def _with_rows(plan: PlanFile, rows: Iterable[PlanRow]) -> PlanFile:
    return plan.model_copy(update={"rows": tuple(rows)})


def _frame(experiment: str, frame: pd.DataFrame, rows: Collection[str], seeds: Collection[int] | None) -> pd.DataFrame:
    is_kept = frame["row"].isin(list(rows))
    if seeds is not None:
        is_kept &= frame["seed"].isna() | frame["seed"].isin(list(seeds)).fillna(False)
    kept = frame.loc[is_kept]
    return kept.assign(row=[row_name(experiment, row) for row in kept["row"]])


def _without_repeated_baselines(experiments: Mapping[str, Results]) -> dict[str, Results]:
    earlier: list[Record] = []
    parts: dict[str, Results] = {}
    for name, results in experiments.items():
        baselines = [record for record in results.finished if record.seed is None]
        repeated = {record.row for record in baselines for other in earlier if _scores_equal(record, other)}
        rows = (row for row in results.plan.rows if row.row not in repeated)
        parts[name] = replace(results, plan=_with_rows(results.plan, rows))
        earlier += baselines
    return parts


def _scores_equal(record: Record, other: Record) -> bool:
    scores, others = record.scores.get(SPLIT, {}), other.scores.get(SPLIT, {})
    return (
        record.row == other.row
        and scores.keys() == others.keys()
        and all(math.isclose(scores[name].mean, others[name].mean, rel_tol=_EQUAL_BASELINES) for name in scores)
    )


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


def scored_images(experiment: str, results: Results) -> ScoredImages:
    """Return what the rows of `results` were tested on; `experiment` is its name in messages."""
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
    differing = [key for key in shared if not _agree(key[1], first.untouched[key], second.untouched[key])]
    if not differing:
        return ""
    images, names = {image for image, _ in differing}, sorted({name for _, name in differing})
    subject = "the images, or how they are scored," if len(images) == len(first.images) else "some images"
    return (
        f"{subject} differ: row {IDENTITY}, which does nothing, scores differently in {first.experiment} and "
        f"{second.experiment} on {len(images)} of {len(first.images)} test images ({text.listing(names)}); "
        "run one of them again with the data.test of the other"
    )


def _agree(name: str, value: float, other: float) -> bool:
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
