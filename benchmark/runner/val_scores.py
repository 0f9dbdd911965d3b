"""The networks of a row, and their scores on its validation images, which the ranks of a stage share."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.evaluate import ImageScores, Summary, evaluate, load_metrics, pairs, psnrs, summarise
from benchmark.experiment.plan import PlannedRow, hash_of, metric_digests
from benchmark.model import Restorer, build, restore_image
from benchmark.model.pruning import with_shapes
from benchmark.runner.context import Context
from benchmark.runner.stage_store import StageResult
from benchmark.training.distributed import ALONE, Ranks

Restore = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""From a degraded image to the restored one, both `H W 3`."""


def load_network(row: PlannedRow, key: str | None, context: Context) -> Restorer:
    """Return the network of a row on the device, with the stored weights of a stage; None: with its initial weights.

    It is always built anew: the memory layout of weights that did not come from the store could differ, and with it the
    last bits of what they compute.
    """
    if key is None:
        return build(row.recipe.model, row.seed, context.registry).to(context.machine.device)
    return network_with(row, context.store.weights(key), context)


def network_with(row: PlannedRow, weights: Mapping[str, Any], context: Context) -> Restorer:
    """Return a newly built network of a row on the device, with these weights."""
    restorer = with_shapes(build(row.recipe.model.architecture, row.seed, context.registry), weights)
    restorer.load_state_dict(weights)
    return restorer.to(context.machine.device)


def score_on_val(row: PlannedRow, trained: Restorer, context: Context, ranks: Ranks = ALONE) -> dict[str, Summary]:
    """Return the scores of a trained network on the validation images of a row; ranks share the images."""
    scores = [image.metrics for image in images_on_val(row, trained, context, ranks)]
    return summarise(ranks.gather_in_turn(scores))


def images_on_val(row: PlannedRow, trained: Restorer, context: Context, ranks: Ranks = ALONE) -> Iterator[ImageScores]:
    """Yield the validation images of a row, or a rank's share, as a trained network restores them, with scores."""
    restorer, device = network_with(row, trained.state_dict(), context).eval(), context.machine.device
    yield from _scored_on_val(lambda image: restore_image(restorer, image, device), row, context, ranks)


def scores_of(restore: Restore, row: PlannedRow, context: Context) -> dict[str, Summary]:
    """Return the scores of any way to restore images on the validation images of a row."""
    return summarise(image.metrics for image in _scored_on_val(restore, row, context, ALONE))


def _scored_on_val(restore: Restore, row: PlannedRow, context: Context, ranks: Ranks) -> Iterator[ImageScores]:
    source, metrics = context.source(row.recipe.data["val"]), load_metrics(context.registry, context.metrics)
    yield from evaluate(restore, pairs(source, ranks.rank, ranks.count), metrics=metrics)


def psnr_on_val(
    row: PlannedRow,
    restore: Restore,
    context: Context,
    ranks: Ranks = ALONE,
) -> float:
    """Return the mean PSNR on the validation images of a row. Ranks share the images; the bits are the same."""
    share = pairs(context.source(row.recipe.data["val"]), ranks.rank, ranks.count)
    return statistics.fmean(ranks.gather_in_turn([*psnrs(restore, share)]))


def on_val_of(row: PlannedRow, result: StageResult, context: Context) -> StageResult:
    """Return a stored result, scored anew if the row has other validation images or metrics: the key has neither."""
    fingerprint = val_fingerprint(row, context)
    if result.val_fingerprint == fingerprint:
        return result
    return replace(
        result,
        val=score_on_val(row, load_network(row, result.key, context), context),
        val_fingerprint=fingerprint,
        late_gain_psnr=None,  # these images were not scored during training
        identity_psnr=psnr_on_val(row, np.asarray, context),
    )


def val_fingerprint(row: PlannedRow, context: Context) -> str:
    """Return what scores on val depend on beside the weights: the images, and the metrics that not every row has."""
    fingerprint = context.source(row.recipe.data["val"]).fingerprint
    metrics = metric_digests(context.registry, context.metrics)
    return hash_of([fingerprint, metrics]) if metrics else fingerprint
