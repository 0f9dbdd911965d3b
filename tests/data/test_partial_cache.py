"""A short training waits only for the pairs that it reads, which get a cache of their own."""

import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmark.data import Pair, Source
from benchmark.data.cache import cached
from benchmark.data.partial_cache import MOST_SHARE, cached_as_needed
from benchmark.data.sampling import Sampler, indices_read

COUNT = 42


class Drawn(Source):
    """Pairs that are made, and noted."""

    origin: ClassVar[str] = "made here"

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def __len__(self) -> int:
        return COUNT

    def read(self, index: int) -> Pair:
        self.drawn.append(index)
        images = np.random.default_rng(index).integers(0, 256, (2, 8, 8, 3), np.uint8)
        return Pair(f"n{index}", images[0], images[1])

    @property
    def fingerprint(self) -> str:
        return "drawn"


def test_only_what_a_stage_reads_is_drawn(tmp_path: Path) -> None:
    """Nine patches of 42 pairs draw nine pairs, once, and the patches are those of the source without a cache."""
    source, progress = Drawn(), list[tuple[int, int]]()
    needed = indices_read(9, COUNT, seed=3, stage="coarse")
    ready = cached_as_needed(source, needed, tmp_path, 1, on_progress=lambda *counts: progress.append(counts))
    assert sorted(source.drawn) == sorted(needed) and progress == [(count, 9) for count in range(1, 10)]

    patches = [Sampler(ready, 3, "coarse", 4, ()).patch_at(position) for position in range(9)]
    assert len(source.drawn) == 9
    plain = [Sampler(Drawn(), 3, "coarse", 4, ()).patch_at(position) for position in range(9)]
    assert all(np.array_equal(patch.target, other.target) for patch, other in zip(patches, plain, strict=True))
    assert (len(ready), ready.fingerprint) == (COUNT, source.fingerprint)


def test_a_pair_that_was_not_expected_is_drawn(tmp_path: Path) -> None:
    """An augmentation that mixes in another pair gets the right one, also in another process."""
    ready = pickle.loads(pickle.dumps(cached_as_needed(Drawn(), frozenset({2, 5}), tmp_path, 1)))
    for index in (2, 5, 30):
        assert np.array_equal(ready.read(index).target, Drawn().read(index).target)


@pytest.mark.parametrize("share", [MOST_SHARE, 1.0])
def test_all_pairs_are_cached_where_many_are_needed(share: float, tmp_path: Path) -> None:
    """Up to a third of the pairs have a cache of their own; more than it, and all are drawn."""
    source = Drawn()
    cached_as_needed(source, frozenset(range(int(share * COUNT))), tmp_path, 1)
    assert len(source.drawn) == share * COUNT
    cached_as_needed(source, frozenset(range(int(MOST_SHARE * COUNT) + 1)), tmp_path, 1)
    assert set(source.drawn) == set(range(COUNT))


def test_a_cache_of_all_pairs_serves_a_short_training(tmp_path: Path) -> None:
    """What a long training has cached is not drawn again for a short one; without any need nothing is drawn."""
    source = Drawn()
    cached_as_needed(source, frozenset(), tmp_path, 1)
    assert not source.drawn
    cached(source, tmp_path, 1)
    cached_as_needed(source, frozenset({1}), tmp_path, 1)
    assert source.drawn == list(range(COUNT))
