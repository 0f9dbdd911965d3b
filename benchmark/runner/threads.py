"""CPU threads of a stage: they decide the last bits of its weights, so they follow from its recipe alone."""

from dataclasses import replace
from functools import lru_cache
from math import prod

from benchmark.experiment.plan import PlannedRow
from benchmark.experiment.resolve import Recipe
from benchmark.experiment.schema import ResolvedModel
from benchmark.experiment.stage import Threads
from benchmark.gates.cost import REFERENCE_IMAGE, macs
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.runner.count_cache import kept

MACS_OF_TWO_THREADS = 4_000_000_000
"""Multiply-adds of a step, forward pass, from which on `auto` means two threads; measured in docs/training.md."""


def with_threads(recipe: Recipe, registry: Registry) -> Recipe:
    """Return a recipe with a number for every `threads: auto`, the same number on every machine."""
    auto = {
        name: stage.model_copy(update={"threads": _threads(recipe.model, stage.batch * stage.patch**2, registry)})
        for name, stage in recipe.stages.items()
        if stage.threads == "auto"
    }
    return replace(recipe, stages={**recipe.stages, **auto})


def threads_of_test(row: PlannedRow, registry: Registry) -> Threads:
    """Return the threads that test a row: those of its last stage; of one without stages, those of a 256 px image."""
    if row.stages:
        return row.stages[-1].settings.threads
    return _threads(row.recipe.model, prod(REFERENCE_IMAGE), registry)


def _threads(model: ResolvedModel, pixels: int, registry: Registry) -> int:
    per_pixel = _macs(model.architecture.model_dump_json(), registry) / prod(REFERENCE_IMAGE)
    return 2 if per_pixel * pixels >= MACS_OF_TWO_THREADS else 1


@lru_cache(maxsize=1024)  # rows, seeds and stages share networks
def _macs(model: str, registry: Registry) -> int:
    network = ResolvedModel.model_validate_json(model)
    try:
        return int(kept(["macs"], network, registry, lambda: macs(build(network, 0, registry), REFERENCE_IMAGE)))
    except MemoryError:  # may pass, and must not change a key
        raise
    except Exception:  # an error in a user's network fails its own rows only
        return 0
