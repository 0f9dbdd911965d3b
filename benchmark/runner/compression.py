"""The network of a row as it is shipped: pruned, in 8 bits, or as it is; and its file, made, weighed and scored."""

import copy

import torch

from benchmark.data import in_levels
from benchmark.experiment.compression import Compression
from benchmark.experiment.plan import PlannedRow
from benchmark.experiment.schema import ResolvedModel, SizeGate
from benchmark.gates.check_gates import check_gates
from benchmark.inference.int8 import int8_bytes, stand_in_images
from benchmark.model import Restorer, build
from benchmark.model.pruning import prune
from benchmark.registry import Registry
from benchmark.runner.context import Context
from reports.schema import ModelCost, Record


def build_shipped(model: ResolvedModel, seed: int, registry: Registry) -> Restorer:
    """Return an untrained network with the shapes of the one that is shipped: pruned where the model says so.

    Raises:
        ExperimentError: The network has no channels that can be removed.
    """
    restorer, pruning = build(model, seed, registry), model.compression.prune
    return prune(restorer, pruning.channels) if pruning else restorer


def untrained_file(restorer: Restorer, compression: Compression) -> bytes | None:
    """Return a file in 8 bits that has the bytes and the operations of a trained one; None if none is shipped.

    Raises:
        RuntimeUnavailable: The network cannot be written in 8 bits.
    """
    if compression.int8 is None:
        return None
    distinct, generator = copy.deepcopy(restorer).cpu(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in distinct.parameters():  # equal ones, as biases are before training, would be written once
            weights.add_(torch.randn(weights.shape, generator=generator), alpha=1e-3)
    return int8_bytes(distinct, stand_in_images())


def int8_file(row: PlannedRow, trained: Restorer, context: Context) -> bytes | None:
    """Return the file of a trained row in 8 bits, calibrated on training images; None if it ships none.

    Raises:
        RuntimeUnavailable: The network cannot be written in 8 bits.
    """
    settings = row.recipe.model.compression.int8
    if settings is None:
        return None
    train = context.source(row.recipe.data["train"])
    step = max(1, len(train) // settings.images)  # of a mix of sources images of each
    chosen = range(0, len(train), step)[: settings.images]
    return int8_bytes(trained, (in_levels(train.read(index).degraded) for index in chosen))


def with_weighed_file(record: Record, row: PlannedRow, trained: Restorer, content: bytes, context: Context) -> Record:
    """Return the record of a tested row with the bytes and the SHA-256 of the very file that was scored."""
    gates = {name: gate for name, gate in row.recipe.gates.items() if isinstance(gate, SizeGate)}
    results = check_gates(gates, trained, row.config["model"], context.machine, (), content)
    weighed = {result.name: result for result in results}
    model = with_file_size(record.model, content) if record.model else None
    return record.model_copy(
        update={"model": model, "gates": tuple(weighed.get(gate.name, gate) for gate in record.gates)}
    )


def with_file_size(cost: ModelCost, content: bytes | None) -> ModelCost:
    """Return a cost with the bytes of the file in 8 bits, if there is one."""
    sizes = {**cost.weight_bytes, **({"int8": len(content)} if content else {})}
    return cost.model_copy(update={"weight_bytes": sizes})
