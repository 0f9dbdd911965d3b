"""The weighted sum of a stage's losses."""

from dataclasses import dataclass

from torch import Tensor

from benchmark.errors import ExperimentError
from benchmark.experiment.stage import Stage
from benchmark.registry import Registry
from heads import Restoration
from losses import Batch, Loss


@dataclass(frozen=True)
class Term:
    name: str
    weight: float
    loss: Loss


@dataclass(frozen=True)
class Objective:
    terms: tuple[Term, ...]
    auxiliary_weight: float = 1.0
    """Of the losses of each auxiliary image, beside those of the full image."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the losses, in the order of the parts that a call gives."""
        return tuple(term.name for term in self.terms)

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each loss of the full image before its weight, by name. Call it outside autocast.

        The sum has the same weighted losses once more, times `auxiliary_weight`, for every auxiliary image (with 1 as
        in MIMO-UNet: Cho et al., ICCV 2021, section 3), where they apply to it: losses of maps and losses that need
        larger sides are left out.
        """
        in_full = Restoration(restoration.image.float(), {k: v.float() for k, v in restoration.maps.items()})
        parts = {term.name: term.loss(in_full, batch) for term in self.terms}
        total = sum((term.weight * parts[term.name] for term in self.terms), start=batch.degraded.new_zeros(()))
        for image in restoration.auxiliary if self.auxiliary_weight else ():
            total = total + self.auxiliary_weight * self._of_auxiliary(image.float(), batch)
        return total, {name: part.detach() for name, part in parts.items()}

    def _of_auxiliary(self, image: Tensor, batch: Batch) -> Tensor:
        alone, thinned, side = Restoration(image, {}), _thin(batch, image), min(image.shape[-2:])
        terms = [term for term in self.terms if not term.loss.supervises and term.loss.min_side <= side]
        return sum((term.weight * term.loss(alone, thinned) for term in terms), start=image.new_zeros(()))


def _thin(batch: Batch, image: Tensor) -> Batch:
    """The batch at the pixels that make it as large as `image`: every s-th row and column, from the first.

    Not an average: these are the pixels that nearest-neighbour resizing keeps, and a network which adds its correction
    to such an image is to be compared with the target at the same places. The mask stays that of the pair, too.
    """
    height, width = image.shape[-2:]
    # Sides that s does not divide lost their remainder to the crop; from s * s pixels on it leaves the quotient alone.
    step = batch.target.shape[-2] // max(height, 1)
    return Batch._make(None if part is None else part[..., ::step, ::step][..., :height, :width] for part in batch)


def make_objective(name: str, stage: Stage, registry: Registry) -> Objective:
    """The objective of stage `name`. Raises ExperimentError where a loss needs larger patches."""
    terms: list[Term] = []
    for loss_name, term in sorted(stage.loss.items()):
        loss: Loss = registry.create("loss", loss_name, term.model_extra or {})
        if stage.patch < loss.min_side:
            raise ExperimentError(
                f"protocol.{name}: loss {loss_name!r} needs patches of at least {loss.min_side} pixels, "
                f"patch is {stage.patch}; raise `patch` or change the loss's options"
            )
        terms.append(Term(loss_name, term.weight, loss))
    return Objective(tuple(terms), stage.auxiliary_weight)
