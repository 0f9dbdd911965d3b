"""How near the maps that a head predicts on the way are to the true ones.

From the restored image alone K and D are not identifiable, and a mask need not mean the spots: these numbers say
something of rows whose losses supervise the maps, and of others only how far off unsupervised maps are. Beside each
error stands that of the best constant map: what is not below it has not been recovered.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair, damage_mask

Maps = Mapping[str, NDArray[np.float32]]
"""Predicted maps of one image by name, each `H W C`; `heads` says which names mean what."""

Constants = Mapping[str, NDArray[np.float32]]
"""Constant maps by name, each of four values: R, G, B and what serves all three."""

_UNITS = {"gain": 100, "spots": 255}
_GRID = 64
"""Of each image, a grid of at most so many pixels along the shorter side makes the constants: maps can fill memory."""


def best_constants(pairs: Iterable[Pair]) -> Constants:
    """The constant maps with the least mean absolute error on these pairs: medians of the true maps.

    A map that no pair knows is absent. They are made of the images they are scored on, so no constant known in advance
    is better, and every image counts alike.
    """
    samples: dict[str, list[NDArray[np.float32]]] = {}
    for pair in pairs:
        for name, truth in _truths(pair):
            step = -(-min(truth.shape[:2]) // _GRID)
            values = truth[::step, ::step].reshape(-1, 3).astype(np.float32)
            samples.setdefault(name, []).append(np.column_stack([values, values.mean(axis=1)]))
    return {name: np.median(np.concatenate(values), axis=0) for name, values in samples.items()}


def score_maps(maps: Maps, pair: Pair, constants: Constants) -> dict[str, float]:
    """The metrics of predicted maps by name, in the order of `reports.metrics.MAP_METRICS`.

    One is absent where the head does not predict its map (`gain`, `spots`, `mask`) or the pair does not know the true
    one; an error of a constant also where `constants` lacks it; `region_iou` also where neither mask nor pair has any
    spots.
    """
    scores: dict[str, float] = {}
    for name, truth in _truths(pair):
        if name in maps:
            scores |= _errors(name, maps[name], truth, constants)
    return scores | _overlaps(maps, pair)


def _truths(pair: Pair) -> list[tuple[str, NDArray[np.float16]]]:
    truths = (("gain", pair.gain), ("spots", pair.spots))
    return [(name, truth) for name, truth in truths if truth is not None]


def _errors(
    name: str, predicted: NDArray[np.float32], truth: NDArray[np.float16], constants: Constants
) -> dict[str, float]:
    expected = truth.astype(np.float64)
    is_common = predicted.shape[-1] == 1
    if is_common:
        expected = expected.mean(axis=-1, keepdims=True)
    errors = {f"{name}_error": predicted - expected}
    if name in constants:
        errors[f"{name}_error_constant"] = (constants[name][3:] if is_common else constants[name][:3]) - expected
    return {metric: _UNITS[name] * float(np.abs(error).mean()) for metric, error in errors.items()}


def _overlaps(maps: Maps, pair: Pair) -> dict[str, float]:
    if "mask" not in maps:
        return {}
    overlap = _overlap(maps["mask"][..., 0] > 0.5, damage_mask(pair.degraded, pair.target))
    return {} if overlap is None else {"region_iou": overlap}


def _overlap(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    either = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / either if either else None
