"""The weighted sum of a stage's losses."""

from dataclasses import dataclass

from torch import Tensor

from benchmark.errors import ExperimentError
from benchmark.experiment.schema import Stage
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

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each loss before its weight, by name. Call it outside autocast."""
        in_full = Restoration(restoration.image.float(), {k: v.float() for k, v in restoration.maps.items()})
        parts = {term.name: term.loss(in_full, batch) for term in self.terms}
        total = sum((term.weight * parts[term.name] for term in self.terms), start=batch.degraded.new_zeros(()))
        return total, {name: part.detach() for name, part in parts.items()}


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
    return Objective(tuple(terms))
