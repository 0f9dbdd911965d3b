"""Scores of restored images and of the maps that a head predicts: for every image of a source, and their summary.

K and D cannot be identified from the restored image alone, and a mask need not be the spots: these numbers matter for
rows whose losses supervise the maps; for others they show how far off unsupervised maps are. The error of the best
constant map is reported beside each error: what is not below it has not been recovered.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair, Source, damage_mask, in_levels
from benchmark.errors import ComponentError
from benchmark.evaluation.metrics import ComparisonMetric, Image, ImageComparison, Metric, Need
from benchmark.evaluation.metrics.psnr import psnr
from benchmark.registry import Registry
from reports.metrics import IMAGE_METRICS, Direction, ordered
from reports.schema import MetricFacts

Metrics = Mapping[str, Metric]
"""Metrics by name, in the order of reports."""
Maps = Mapping[str, NDArray[np.float32]]
"""Predicted maps of one image by name, each `H W C`; `heads` defines the names."""

Constants = Mapping[str, NDArray[np.float32]]
"""Constant maps by name, each of four values: R, G, B, and one for maps of one channel."""

_UNITS = {"gain": 100, "spots": 255}
_HALF = 127
"""A pixel is skin where more than half of it, of 255, is bare skin."""
_GRID = 64
"""Pixels along the shorter side from which the constants are computed: all pixels of all maps could fill the memory."""


@dataclass(frozen=True)
class ImageScores:
    """One restored image, with its pair and its metrics (those that apply to it)."""

    pair: Pair
    restored: Image
    metrics: dict[str, float]


class Restored(NamedTuple):
    """A restored image, `H W 3` uint8, with the maps that the head predicted."""

    image: Image
    maps: Maps


class Summary(TypedDict):
    """Mean, standard deviation (n - 1) and number of images."""

    mean: float
    std: float
    n: int


def load_metrics(registry: Registry, named: Iterable[str] = ()) -> Metrics:
    """Return the metrics of every row in the order of reports, then by name those named and those of plugins.

    Args:
        registry: Knows the metrics.
        named: Metrics that an experiment names.

    Raises:
        ComponentError: A metric cannot be imported, lacks a fact, or its constructor needs arguments.
    """
    metrics: dict[str, Metric] = {}
    for name in ordered({*IMAGE_METRICS, *registry.added("metric"), *named}, first="psnr"):
        metrics[name] = registry.create("metric", name, {})
        if name in IMAGE_METRICS and type(metrics[name]).__module__ != f"{Metric.__module__}.{name}":
            raise ComponentError(f"metric {name!r} is built in; rename the file of your plugin")
        if metrics[name].direction not in get_args(Direction):
            raise ComponentError(
                f"metric {name!r}: direction is {metrics[name].direction!r};"
                f" use one of {', '.join(get_args(Direction))}"
            )
        if not set(metrics[name].needs) <= set(get_args(Need)):
            raise ComponentError(
                f"metric {name!r}: needs is {metrics[name].needs!r}; use some of {', '.join(get_args(Need))}"
            )
    return metrics


@lru_cache
def _default_metrics() -> Metrics:
    return load_metrics(Registry())


def facts_of(metrics: Metrics) -> dict[str, MetricFacts]:
    """Return the facts of the metrics that do not score every row, as a record carries them."""
    return {
        name: MetricFacts(
            unit=metric.unit, direction=metric.direction, meaning=metric.formula, decimals=metric.decimals
        )
        for name, metric in metrics.items()
        if name not in IMAGE_METRICS
    }


def evaluate(
    restore: Callable[[Image], Image | Restored],
    source: Source | Iterable[Pair],
    constants: Constants = MappingProxyType({}),
    metrics: Metrics | None = None,
) -> Iterator[ImageScores]:
    """Restore and score every image of a source, in its order.

    Args:
        restore: Restores a degraded image `H W 3`; its maps are scored, too, if it returns some.
        source: The pairs, or some of them.
        constants: Constant maps whose errors are reported beside those of the predicted maps.
        metrics: What images are scored on; None: the built-in metrics and those of installed packages.
    """
    for pair in pairs(source) if isinstance(source, Source) else source:
        restored = restore(np.array(pair.degraded))  # a copy: a memory map is read-only, which torch warns about
        image, maps = restored if isinstance(restored, Restored) else Restored(restored, {})
        scores = score_image(image, in_levels(pair.degraded), pair.target, metrics, pair.skin, pair.skin_tone)
        yield ImageScores(pair, image, scores | score_maps(maps, pair, constants))


def score_image(
    restored: Image,
    degraded: Image,
    target: Image,
    metrics: Metrics | None = None,
    skin: NDArray[np.uint8] | None = None,
    skin_tone: float | None = None,
) -> dict[str, float]:
    """Return the metrics of a restored image by name, all finite; a metric that does not apply is absent.

    Args:
        restored: The restored image, `H W 3` uint8.
        degraded: The image that was restored, of the same size.
        target: The true image, of the same size.
        metrics: None: the metrics of every row and those of installed packages.
        skin: How much of each pixel is bare skin, `H W`, 255 is all; None where it is not known.
        skin_tone: Typology angle of the face in degrees; None where it is not known.

    Raises:
        DataError: The images are not uint8 `H W 3` of one size.
        ComponentError: A metric fails, or gives something that is not a finite number.
    """
    comparison = ImageComparison(restored, target, degraded, None if skin is None else skin > _HALF, skin_tone)
    scores: dict[str, float] = {}
    for name, metric in (_default_metrics() if metrics is None else metrics).items():
        if comparison.lacks(metric.needs):
            continue
        try:
            value = (
                metric.compute(comparison)
                if isinstance(metric, ComparisonMetric)
                else metric.score(restored, target, degraded, comparison.mask)
            )
            number = None if value is None else float(value)
        except Exception as error:
            raise ComponentError(f"metric {name!r} fails: {type(error).__name__}: {error}") from error
        if number is not None and not math.isfinite(number):
            raise ComponentError(f"metric {name!r} gives {number}; return a finite number, or None where none applies")
        if number is not None:
            scores[name] = number
    return scores


def psnrs(restore: Callable[[Image], Image], pairs: Iterable[Pair]) -> Iterator[float]:
    """Yield the PSNR of each pair; for validations during training, which other metrics would make slow."""
    for pair in pairs:
        restored = in_levels(restore(np.array(pair.degraded)))
        yield psnr(ImageComparison(restored, pair.target, in_levels(pair.degraded)))


def pairs(source: Source, first: int = 0, every: int = 1) -> Iterator[Pair]:
    """Yield the pairs of a source, in its order; or of every `every` the first, from the index `first` on."""
    return (source.read(index) for index in range(first, len(source), every))


def summarise(scores: Iterable[Mapping[str, float]]) -> dict[str, Summary]:
    """Return mean, standard deviation over images (n - 1) and number of images of each metric."""
    values: dict[str, list[float]] = {}
    for image in scores:
        for metric, value in image.items():
            values.setdefault(metric, []).append(value)
    return {
        metric: {
            "mean": math.fsum(numbers) / len(numbers),
            "std": statistics.stdev(numbers) if len(numbers) > 1 else 0.0,
            "n": len(numbers),
        }
        for metric, numbers in values.items()
    }


def best_constants(pairs: Iterable[Pair]) -> Constants:
    """Return the constant maps with the least mean absolute error on these pairs: medians of the true maps.

    A map that no pair has is absent. The constants are computed on the very images that are scored, so no constant
    that is known in advance is better. Every image has the same weight.
    """
    values: dict[str, list[NDArray[np.float32]]] = {}
    for pair in pairs:
        for name, truth in _true_maps(pair):
            step = -(-min(truth.shape[:2]) // _GRID)
            rgb = truth[::step, ::step].reshape(-1, 3).astype(np.float32)
            values.setdefault(name, []).append(np.column_stack([rgb, rgb.mean(axis=1)]))
    return {name: np.median(np.concatenate(parts), axis=0) for name, parts in values.items()}


def score_maps(maps: Maps, pair: Pair, constants: Constants) -> dict[str, float]:
    """Return the metrics of predicted maps by name, in the order of `reports.metrics.MAP_METRICS`.

    A metric is absent if the head does not predict its map (`gain`, `spots`, `mask`) or the pair has no true map; an
    error of a constant also if `constants` lacks it; `region_iou` also if neither mask nor pair has any spots.
    """
    scores: dict[str, float] = {}
    for name, truth in _true_maps(pair):
        if name in maps:
            scores |= _errors(name, maps[name], truth.astype(np.float64), constants)
    if "mask" in maps:
        predicted, damaged = maps["mask"][..., 0] > 0.5, damage_mask(pair.degraded, pair.target)
        if union := int(np.count_nonzero(predicted | damaged)):
            scores["region_iou"] = int(np.count_nonzero(predicted & damaged)) / union
    return scores


def _true_maps(pair: Pair) -> Iterator[tuple[str, NDArray[np.float16]]]:
    maps = {"gain": pair.gain, "spots": pair.spots}
    return ((name, truth) for name, truth in maps.items() if truth is not None)


def _errors(
    name: str, predicted: NDArray[np.float32], truth: NDArray[np.float64], constants: Constants
) -> dict[str, float]:
    is_grey = predicted.shape[-1] == 1
    if is_grey:
        truth = truth.mean(axis=-1, keepdims=True)
    errors = {f"{name}_error": predicted - truth}
    if name in constants:
        errors[f"{name}_error_constant"] = (constants[name][3:] if is_grey else constants[name][:3]) - truth
    return {metric: _UNITS[name] * float(np.abs(error).mean()) for metric, error in errors.items()}
