"""How close the maps that a head predicts are to the true maps.

K and D cannot be identified from the restored image alone, and a mask need not be the spots: these numbers matter for
rows whose losses supervise the maps; for others they show how far off unsupervised maps are. The error of the best
constant map is reported beside each error: what is not below it has not been recovered.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair, damage_mask

Maps = Mapping[str, NDArray[np.float32]]
"""Predicted maps of one image by name, each `H W C`; `heads` defines the names."""

Constants = Mapping[str, NDArray[np.float32]]
"""Constant maps by name, each of four values: R, G, B, and one for maps of one channel."""

_UNITS = {"gain": 100, "spots": 255}
_GRID = 64
"""Pixels along the shorter side from which the constants are computed: all pixels of all maps could fill the memory."""


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
