"""Randomness as a pure function of (seed, stage, position): the same patches whatever the workers, resumes or rows."""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def generator(*names: int | str) -> np.random.Generator:
    """A generator that depends on these names alone, e.g. `generator(seed, "coarse", "position", 17)`."""
    digest = hashlib.sha256("\0".join(f"{type(name).__name__}:{name}" for name in names).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def index_at(position: int, count: int, seed: int, stage: str) -> int:
    """Which of `count` pairs stands at `position` of a stage's endless stream: each pass is a permutation of all."""
    return int(_order(seed, stage, position // count, count)[position % count])


@lru_cache(maxsize=4)
def _order(seed: int, stage: str, turn: int, count: int) -> NDArray[np.int64]:
    return generator(seed, stage, "order", turn).permutation(count)
