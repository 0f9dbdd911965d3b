"""Everything that training changes as it was at a step, to go back to."""

import copy
from typing import Any

from benchmark.training.train_state import Learner

Snapshot = dict[str, Any]
"""Copies on the same device: as much memory as the weights, what the optimiser keeps of them, and the average."""


def take(learner: Learner) -> Snapshot:
    return copy.deepcopy(learner.state())


def put_back(snapshot: Snapshot, learner: Learner) -> None:
    """In place; the snapshot stays as it is."""
    learner.load(snapshot)
