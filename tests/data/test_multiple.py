"""A mix of sources: shares as asked for, nothing lost, cached by its parts."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data import Pair, Source
from benchmark.data.cache import CachedSource, cached
from benchmark.data.sources.multiple import Multiple, pairs_per_epoch
from benchmark.errors import ComponentError, DataError
from benchmark.experiment.schema import SourceSpec
from benchmark.registry import Registry


def specs(*sizes_px: int, count: int = 2) -> list[dict[str, Any]]:
    return [
        {"source": "synthetic_faces", "size": size, "count": count, "seed": index}
        for index, size in enumerate(sizes_px)
    ]


def mix(*sizes_px: int, weights: list[float] | None = None) -> Multiple:
    return Registry().create("source", "multiple", {"sources": specs(*sizes_px), "weights": weights})


def test_without_weights_every_pair_comes_once() -> None:
    """One source after the other, names marked by the number of the source."""
    source = mix(64, 72)
    pairs = [source.read(index) for index in range(len(source))]
    assert [pair.name for pair in pairs] == ["1/face_0000", "1/face_0001", "2/face_0000", "2/face_0001"]
    assert [len(pair.target) for pair in pairs] == [64, 64, 72, 72]
    assert pairs[0].gain is not None


def test_weights_are_shares_of_an_epoch() -> None:
    """3:1 repeats the pairs of the first source; every pair stays, and names stay different."""
    source = mix(64, 72, weights=[3, 1])
    names = [source.read(index).name for index in range(len(source))]
    assert Counter(name[0] for name in names) == {"1": 6, "2": 2}
    assert names[:4] == ["1/face_0000", "1/face_0001", "1/face_0000__r1", "1/face_0001__r1"]
    assert len(set(names)) == len(names)


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0.01, 10)), min_size=2, max_size=5))
def test_shares_hold_to_a_pair(parts: list[tuple[int, float]]) -> None:
    """No pair is lost, and no source is off its share of the epoch by more than rounding."""
    lengths, weights = zip(*parts, strict=True)
    counts = pairs_per_epoch(lengths, weights)
    assert all(count >= length for count, length in zip(counts, lengths, strict=True))
    unit = max(length / weight for length, weight in parts)
    for (length, weight), count in zip(parts, counts, strict=True):
        assert abs(count - weight * unit) <= 0.5 + 1e-6 or count == length
    assert any(count == length for (length, _), count in zip(parts, counts, strict=True))


def test_what_is_cached_are_the_parts(tmp_path: Path) -> None:
    """Repetitions cost no room, the mix of caches gives the same pairs, and a part is shared with whoever uses it."""
    source = mix(64, 72, weights=[3, 1])
    progress: list[int] = []
    ready = cached(source, tmp_path, 1, on_progress=progress.append)
    assert progress == [1, 2, 3, 4]
    assert len(list(tmp_path.glob("SyntheticFaces-*"))) == 2
    assert isinstance(ready, Multiple) and all(isinstance(part, CachedSource) for part in ready.parts)
    assert (len(ready), ready.fingerprint) == (len(source), source.fingerprint)
    for index in range(len(source)):
        before, after = source.read(index), ready.read(index)
        assert before.name == after.name and np.array_equal(before.degraded, after.degraded)


def test_fingerprint_and_subjects_are_those_of_the_parts() -> None:
    """Other parts or weights are other data; faces of a part are faces of the mix."""
    assert len({mix(64, 72).fingerprint, mix(64, 80).fingerprint, mix(64, 72, weights=[2, 1]).fingerprint}) == 3
    assert mix(64, 72).subjects == frozenset(f"face {i} of seed {seed}" for i in (0, 1) for seed in (0, 1))


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [1, 0], [-1, 2]])
def test_weights_that_cannot_be_meant_are_errors(weights: list[float]) -> None:
    """One above 0 for each source."""
    with pytest.raises(DataError, match="give one above 0 for each of the 2 sources"):
        mix(64, 72, weights=weights)


def test_one_source_is_no_mix() -> None:
    """It is named itself instead."""
    with pytest.raises(DataError, match="got 1 source; mix two or more"):
        Multiple([SourceSpec.model_validate(spec) for spec in specs(64)], Registry())


def test_a_pair_outside_is_an_error() -> None:
    """Before the first and behind the last there is none."""
    for index in (-1, 4):
        with pytest.raises(DataError, match="there are 4, from 0"):
            mix(64, 72).read(index)


class Fresh(Source):
    """Two flat pairs whose degraded level is drawn anew in each epoch."""

    origin = "a test"
    fingerprint = "fresh"

    def __init__(self, drawn: int = 0) -> None:
        self.drawn = drawn

    def __len__(self) -> int:
        return 2

    def read(self, index: int) -> Pair:
        rng = np.random.default_rng([index, self.drawn])
        return Pair(f"p{index}", rng.integers(0, 256, (4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))

    def at_epoch(self, seed: int, stage: str, epoch: int) -> Source:
        return Fresh(int.from_bytes(f"{seed} {stage} {epoch}".encode()))


def test_repetitions_in_an_epoch_draw_damage_anew() -> None:
    """The same image twice in an epoch has other spots, the same ones each time it is read, others an epoch later."""
    source = mix(64, 72, weights=[3, 1]).with_parts([Fresh(), Fresh()])

    def drawn(epoch: int, index: int) -> bytes:
        return source.at_epoch(0, "coarse", epoch).read(index).degraded.tobytes()

    levels = [drawn(epoch, index) for epoch in (0, 1) for index in (0, 2, 4)]
    assert len(set(levels)) == 6
    assert levels == [drawn(epoch, index) for epoch in (0, 1) for index in (0, 2, 4)]


PLUGIN = """
import numpy as np
from benchmark.data import Pair, Source

class Greys(Source):
    origin = "made here"
    fingerprint = "greys"

    def __init__(self, level: int = 7) -> None:
        self.level = level

    def __len__(self):
        return 3

    def read(self, index):
        image = np.full((4, 4, 3), self.level, np.uint8)
        return Pair(f"n{index}", image, image)
"""


def test_sources_of_plugins_are_mixed(tmp_path: Path) -> None:
    """A mixture opens its parts with its own registry: a source of a `--plugin` file counts, also in a nested one."""
    plugin = tmp_path / "greys.py"
    plugin.write_text(PLUGIN)
    inner = {"source": "multiple", "sources": [{"source": "greys", "level": 9}, *specs(64)]}
    registry = Registry((plugin,))
    source = registry.create("source", "multiple", {"sources": [{"source": "greys"}, inner]})
    assert [int(source.read(index).target[0, 0, 0]) for index in (0, 3)] == [7, 9]
    with pytest.raises(ComponentError, match="no source 'greys'"):
        Registry().create("source", "multiple", {"sources": [{"source": "greys"}, inner]})


def test_the_registry_is_no_option() -> None:
    """YAML cannot set it."""
    assert set(Registry().options_model("source", "multiple").model_fields) == {"sources", "weights"}
