"""Scores of restored images against their targets: full images, 8 bits, one row per image and metric."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair, Source
from benchmark.evaluation.map_metrics import Constants, Maps, score_maps
from benchmark.evaluation.metrics import psnr, score_image


@dataclass(frozen=True)
class ImageScores:
    """One test image: its pair, what became of it, and its metrics (those that have pixels)."""

    pair: Pair
    restored: NDArray[np.uint8]
    metrics: dict[str, float]


class Restored(NamedTuple):
    """A restored image, `H W 3` uint8, with the maps that were predicted on the way."""

    image: NDArray[np.uint8]
    maps: Maps


class Summary(TypedDict):
    mean: float
    std: float
    n: int


def evaluate(
    restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8] | Restored],
    source: Source,
    constants: Constants = MappingProxyType({}),
) -> Iterator[ImageScores]:
    """Restore and score every image of a source, in its order.

    With its maps, if `restore` returns some, and the errors of `constants` beside theirs.
    """
    for pair in pairs(source):
        restored = restore(np.array(pair.degraded))  # a copy: a memory map is read-only, which torch warns about
        image, maps = restored if isinstance(restored, Restored) else Restored(restored, {})
        metrics = score_image(image, pair.degraded, pair.target) | score_maps(maps, pair, constants)
        yield ImageScores(pair, image, metrics)


def mean_psnr(restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], source: Source) -> float:
    """Mean PSNR over a source, for looks at val on the way, which the other metrics would make slow."""
    return statistics.fmean(psnr(restore(np.array(pair.degraded)), pair.target) for pair in pairs(source))


def pairs(source: Source) -> Iterator[Pair]:
    return (source.read(index) for index in range(len(source)))


def summarise(scores: Iterable[Mapping[str, float]]) -> dict[str, Summary]:
    """Mean, standard deviation over images (n - 1) and number of images of each metric."""
    values: dict[str, list[float]] = {}
    for image in scores:
        for metric, value in image.items():
            values.setdefault(metric, []).append(value)
    return {metric: _summary(of_metric) for metric, of_metric in values.items()}


def _summary(values: Sequence[float]) -> Summary:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": math.fsum(values) / len(values), "std": spread, "n": len(values)}
