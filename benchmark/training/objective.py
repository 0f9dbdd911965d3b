"""The weighted sum of a stage's losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmark.errors import ExperimentError
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer
from benchmark.registry import Registry
from benchmark.training.distributed import ALONE, Ranks
from heads import Restoration
from losses import Batch, Loss


@dataclass(frozen=True)
class Term:
    """One loss of a stage and its weight."""

    name: str
    weight: float
    loss: Loss


@dataclass(frozen=True)
class Objective:
    """The weighted sum of a stage's losses, as a function of restoration and batch."""

    terms: tuple[Term, ...]
    auxiliary_weight: float = 1.0
    """Weight of the losses of each auxiliary image beside those of the full image."""
    ranks: Ranks = ALONE
    """The processes that share a batch; a loss over the batch is computed from the images of all of them."""
    teacher: Callable[[Tensor], Restoration] | None = None
    """A trained network, whose restored images are targets, too."""
    teacher_weight: float = 0.0
    """Weight of the losses against the teacher's images."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the losses, in the order in which a call returns them."""
        return tuple(term.name for term in self.terms)

    @property
    def needs_maps(self) -> bool:
        """Whether a loss compares maps with their truth."""
        return any(term.loss.supervises for term in self.terms)

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and each loss of the full image by name, before its weight.

        Every auxiliary image of a multi-output network adds the same weighted losses, times `auxiliary_weight` (with 1
        as in MIMO-UNet: Cho et al., ICCV 2021, section 3). Losses of maps do not apply to auxiliary images, nor do
        losses that need larger sides. Losses are computed in float32; call this outside autocast.

        A teacher's restored image stands in for the target once more, in all losses but those of maps.
        """
        restoration_32 = Restoration(restoration.image.float(), {k: v.float() for k, v in restoration.maps.items()})
        parts = self._losses(self.terms, restoration_32, batch)
        total = sum((term.weight * parts[term.name] for term in self.terms), start=batch.degraded.new_zeros(()))
        for image in restoration.auxiliary if self.auxiliary_weight else ():
            total = total + self.auxiliary_weight * self._auxiliary_loss(image.float(), batch)
        if self.teacher:
            total = total + self.teacher_weight * self._taught_loss(self.teacher, restoration_32, batch)
        return total, {name: part.detach() for name, part in parts.items()}

    def _taught_loss(self, teacher: Callable[[Tensor], Restoration], restoration: Restoration, batch: Batch) -> Tensor:
        with torch.no_grad():
            target = teacher(batch.degraded).image.float().clamp(0, 1)
        taught = batch._replace(target=target)
        terms = [term for term in self.terms if not term.loss.supervises]
        losses = self._losses(terms, restoration, taught)
        return sum((term.weight * losses[term.name] for term in terms), start=target.new_zeros(()))

    def _auxiliary_loss(self, image: Tensor, batch: Batch) -> Tensor:
        restoration, subsampled, side = Restoration(image, {}), _subsample(batch, image), min(image.shape[-2:])
        terms = [term for term in self.terms if not term.loss.supervises and term.loss.min_side <= side]
        losses = self._losses(terms, restoration, subsampled)
        return sum((term.weight * losses[term.name] for term in terms), start=image.new_zeros(()))

    def _losses(self, terms: Sequence[Term], restoration: Restoration, batch: Batch) -> dict[str, Tensor]:
        """Return losses by name. Other than a mean over images, one over the batch needs the images of all ranks."""
        whole = restoration, batch
        if not self.ranks.is_alone and any(term.loss.pools_images for term in terms):
            maps = {name: self.ranks.whole_batch(restoration.maps[name]) for name in sorted(restoration.maps)}
            parts = (None if part is None else self.ranks.whole_batch(part) for part in batch)
            whole = Restoration(self.ranks.whole_batch(restoration.image), maps), Batch._make(parts)
        return {term.name: term.loss(*(whole if term.loss.pools_images else (restoration, batch))) for term in terms}


def _subsample(batch: Batch, image: Tensor) -> Batch:
    """Return every s-th row and column of the batch, from the first, so that it has the size of `image`.

    These are the pixels that nearest-neighbour resizing keeps. A network that adds its correction to an image resized
    so must be compared with the target at the same pixels; an average would not be the same image.
    """
    height, width = image.shape[-2:]
    # Auxiliary images have floor(side / s) rows; for sides of at least s * s, floor division recovers s.
    step = batch.target.shape[-2] // max(height, 1)
    return Batch._make(None if part is None else part[..., ::step, ::step][..., :height, :width] for part in batch)


def with_teacher(objective: Objective, teacher: Restorer | None, weight: float) -> Objective:
    """Return the objective with a trained network's images as targets, too; unchanged without a network."""
    return replace(objective, teacher=teacher, teacher_weight=weight) if teacher else objective


def make_objective(name: str, stage: Stage, registry: Registry, ranks: Ranks = ALONE) -> Objective:
    """Return the objective of the stage called `name`, as one of the `ranks` that train it computes it.

    Raises:
        ExperimentError: A loss needs larger patches than the stage has, or the whole of an accumulated batch.
    """
    terms = tuple(
        Term(loss_name, term.weight, registry.create("loss", loss_name, term.options))
        for loss_name, term in sorted(stage.loss.items())
    )
    for term in terms:
        if stage.patch < term.loss.min_side:
            raise ExperimentError(
                f"protocol.{name}: loss {term.name!r} needs patches of at least {term.loss.min_side} pixels, "
                f"patch is {stage.patch}; raise `patch` or change the loss's options"
            )
        if term.loss.pools_images and stage.accumulate > 1:
            raise ExperimentError(
                f"protocol.{name}: loss {term.name!r} is computed over the whole batch, accumulate is "
                f"{stage.accumulate}; write `accumulate: 1` or let the loss average over images"
            )
    return Objective(terms, stage.auxiliary_weight, ranks)
