"""Weights, buffers and optimiser as they were at a step, to go back to."""

import copy
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from benchmark.model import Restorer


@dataclass(frozen=True)
class Snapshot:
    """Copies on the same device: as much memory as the weights and what the optimiser keeps of them."""

    restorer: dict[str, Any]
    optimizer: dict[str, Any]


def take(restorer: Restorer, optimizer: Optimizer) -> Snapshot:
    return Snapshot(copy.deepcopy(restorer.state_dict()), copy.deepcopy(optimizer.state_dict()))


def put_back(snapshot: Snapshot, restorer: Restorer, optimizer: Optimizer) -> None:
    """In place; the snapshot stays as it is."""
    restorer.load_state_dict(snapshot.restorer)
    optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
