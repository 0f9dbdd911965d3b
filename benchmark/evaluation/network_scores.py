"""Any network, or a folder of restored images, on any test set: scores of every image, baselines, intervals."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn

from benchmark.data import Pair, Source, in_levels
from benchmark.errors import DataError
from benchmark.evaluation.baselines import fitted_baseline
from benchmark.evaluation.evaluate import ImageScores, Metrics, pairs, score_image
from benchmark.evaluation.metrics import Image
from benchmark.inference.network import Network
from benchmark.inference.pixels import to_unit
from reports.metrics import metric

RestorePair = Callable[[Pair], Image]
"""From a pair to the image that is scored."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over images with its 95 % interval (Student's t); low and high are None below two images.

    The interval is cut to what the metric can be, where that is known.
    """

    mean: float
    low: float | None
    high: float | None


def interval_of(values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """Return the mean of values, one an image, and its 95 % interval within bounds.

    Bounds that a value exceeds are those of another metric of this name, and do not count.
    """
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return Interval(mean, None, None)
    half = float(special.stdtrit(count - 1, (1 + _CONFIDENCE) / 2)) * statistics.stdev(values) / count**0.5
    least, most = bounds if bounds[0] <= min(values) and max(values) <= bounds[1] else (-math.inf, math.inf)
    return Interval(mean, max(mean - half, least), min(mean + half, most))


def score_rows(
    restore: RestorePair, source: Source, baselines: Sequence[str], train: Source | None, metrics: Metrics
) -> dict[str, list[ImageScores]]:
    """Return the scores of every image, for the row `base` and each baseline.

    Args:
        restore: Gives the image to score.
        source: The test set.
        baselines: Names of baselines; empty where degraded images are not known.
        train: The pairs that baselines are fitted to; None: only baselines that need none.
        metrics: What images are scored on.
    """
    fitted = {name: fitted_baseline(name, train) for name in baselines}
    rows: dict[str, list[ImageScores]] = {"base": [], **{name: [] for name in baselines}}
    for pair in pairs(source):
        degraded = in_levels(np.array(pair.degraded))
        restored = {"base": restore(pair), **{name: baseline(degraded) for name, baseline in fitted.items()}}
        for name, image in restored.items():
            if image.shape != pair.target.shape:
                raise DataError(f"{pair.name}: restored {image.shape}, target {pair.target.shape}; sizes must agree")
            scores = score_image(image, degraded, pair.target, metrics, pair.skin, pair.skin_tone)
            rows[name].append(ImageScores(pair, image, scores))
    return rows


def intervals_of(rows: Mapping[str, Sequence[ImageScores]]) -> dict[str, dict[str, Interval]]:
    """Return the intervals of each metric by row; `base - identity` has those of the paired differences."""
    intervals = {row: _intervals(image.metrics for image in scores) for row, scores in rows.items()}
    if "identity" in rows:
        differences = (
            {name: image.metrics[name] - other.metrics[name] for name in image.metrics if name in other.metrics}
            for image, other in zip(rows["base"], rows["identity"], strict=True)
        )
        intervals["base - identity"] = _intervals(differences, are_differences=True)
    return intervals


def _intervals(scores: Iterable[Mapping[str, float]], *, are_differences: bool = False) -> dict[str, Interval]:
    values: dict[str, list[float]] = {}
    for image in scores:
        for name, value in image.items():
            values.setdefault(name, []).append(value)
    bounds = {name: metric(name).bounds for name in values}
    if are_differences:
        bounds = {name: (least - most, most - least) for name, (least, most) in bounds.items()}
    return {name: interval_of(numbers, bounds[name]) for name, numbers in values.items()}


def restore_by(network: Any, device: torch.device, multiple_of: int = 1) -> RestorePair:
    """Return a function that restores the degraded image of a pair.

    Args:
        network: A `Network`, any `torch.nn.Module` from `1 3 H W` in [0, 1] to the same (or to an object with such an
            `image`), or a function from `H W 3` uint8 to the same. A module runs in eval mode.
        device: Of a module.
        multiple_of: Images are reflected at the right and the bottom up to a multiple of this for a module.
    """
    if isinstance(network, Network):
        return lambda pair: np.asarray(network.restore(in_levels(np.array(pair.degraded))), np.uint8)
    if isinstance(network, nn.Module):
        module = network.to(device)

        @torch.inference_mode()
        def restore(pair: Pair) -> Image:
            was_training = module.training
            module.eval()
            try:
                return _restored(module, pair, device, multiple_of)
            finally:
                module.train(was_training)

        return restore
    if callable(network):
        return lambda pair: np.asarray(network(in_levels(np.array(pair.degraded))), np.uint8)
    raise DataError(f"a {type(network).__name__} cannot be evaluated; give a torch module, a network or a function")


def _restored(module: nn.Module, pair: Pair, device: torch.device, multiple_of: int) -> Image:
    image = in_levels(np.array(pair.degraded))
    height, width = image.shape[:2]
    unit = torch.from_numpy(to_unit(image)).to(device).permute(2, 0, 1)[None]
    padding = (0, -width % multiple_of, 0, -height % multiple_of)
    output: Any = module(nn.functional.pad(unit, padding, mode="reflect") if any(padding) else unit)
    restored: Any = getattr(output, "image", output)
    if not isinstance(restored, Tensor) or restored.ndim != 4 or restored.shape[1] != 3:
        shape = tuple(restored.shape) if isinstance(restored, Tensor) else type(restored).__name__
        raise DataError(f"{pair.name}: the module gives {shape} for {tuple(unit.shape)}; expected a tensor 1 3 H W")
    levels = restored[0, :, :height, :width].float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()
