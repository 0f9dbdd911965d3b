"""How near the maps that a head predicts on the way are to the true ones.

From the restored image alone K and D are not identifiable, and a mask need not mean the spots: these numbers say
something of rows whose losses supervise the maps, and of others only how far off unsupervised maps are.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Pair
from benchmark.data.spots import over_threshold
from benchmark.evaluation.metrics import Metric

Maps = Mapping[str, NDArray[np.float32]]
"""Predicted maps of one image by name, each `H W C`; `heads` says which names mean what."""

MAP_METRICS: Final[Mapping[str, Metric]] = {
    "gain_error": Metric("100 * mean |K - true K|; a K of one channel against the mean over RGB.", "lower", "%"),
    "spots_error": Metric("255 * mean |D - true D|.", "lower", "8-bit levels"),
    "region_iou": Metric(
        "Pixels in both of M > 0.5 and any channel of |target - degraded| > 30, divided by those in either.", "higher"
    ),
}
"""The metrics of maps by name, in the order of reports."""


def score_maps(maps: Maps, pair: Pair) -> dict[str, float]:
    """The metrics of predicted maps by name, in the order of `MAP_METRICS`.

    One is absent where the head does not predict its map (`gain`, `spots`, `mask`) or the pair does not know the true
    one; `region_iou` also where neither mask nor pair has any spots.
    """
    values = {
        "gain_error": _error(maps.get("gain"), pair.gain, 100),
        "spots_error": _error(maps.get("spots"), pair.spots, 255),
        "region_iou": _overlap(maps["mask"][..., 0] > 0.5, over_threshold(pair.degraded, pair.target))
        if "mask" in maps
        else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _error(predicted: NDArray[np.float32] | None, truth: NDArray[np.float16] | None, unit: int) -> float | None:
    if predicted is None or truth is None:
        return None
    wanted = truth.astype(np.float64)
    if predicted.shape[-1] == 1:
        wanted = wanted.mean(axis=-1, keepdims=True)
    return unit * float(np.abs(predicted - wanted).mean())


def _overlap(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    either = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / either if either else None
