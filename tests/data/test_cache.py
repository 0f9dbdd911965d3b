"""Decoded pairs are kept, read back as they were, and never half a cache."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmark import kept_values
from benchmark.data import Pair, Source
from benchmark.data.cache import cached
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.errors import DataError
from benchmark.kept_values import cache_folder
from benchmark.registry import Registry


class Made(Source):
    """Pairs of different sizes, every second one with maps; number `broken` cannot be read."""

    origin: ClassVar[str] = "made here"

    def __init__(self, count: int = 4, broken: int = -1) -> None:
        self.count, self.broken = count, broken

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Pair:
        if index == self.broken:
            raise DataError(f"number {index} is broken")
        rng = np.random.default_rng(index)
        images = rng.integers(0, 256, (2, 5 + index, 7, 3), np.uint8)
        maps = rng.normal(size=(2, 5 + index, 7, 3)).astype(np.float16) if index % 2 else (None, None)
        return Pair(f"n{index}", images[0], images[1], maps[0], maps[1])

    @property
    def fingerprint(self) -> str:
        return f"made-{self.count}"


def build(source: Source, root: Path, workers: int = 1, plugins: tuple[Path, ...] = ()) -> tuple[list[int], Source]:
    progress: list[int] = []
    ready = cached(source, root, workers, plugins, progress.append)
    return progress, ready


def test_skin_and_skin_tone_come_back_equal(tmp_path: Path) -> None:
    """A cache holds what metrics and reports need of a drawn face."""
    source = SyntheticFaces("severe", count=2, size=64)
    _, ready = build(source, tmp_path)
    for index in range(2):
        before, after = source.read(index), ready.read(index)
        assert after.skin_tone == before.skin_tone is not None
        np.testing.assert_array_equal(after.skin, before.skin)


def test_what_is_cached_is_what_was_read(tmp_path: Path) -> None:
    """Images and maps come back equal, in order; a second build does no work."""
    source = Made()
    progress, ready = build(source, tmp_path, 1)
    assert progress == [1, 2, 3, 4]
    assert (len(ready), ready.fingerprint) == (4, source.fingerprint)
    for index in range(4):
        pair, back = source.read(index), ready.read(index)
        assert back.name == pair.name
        for name in ("degraded", "target", "gain", "spots"):
            expected, actual = getattr(pair, name), getattr(back, name)
            assert (expected is None) == (actual is None)
            assert expected is None or (np.array_equal(expected, actual) and expected.dtype == actual.dtype)
    assert build(source, tmp_path, 1)[0] == []


def test_several_workers_build_the_same_cache(pairs: Path, tmp_path: Path) -> None:
    """Decoding side by side changes neither order nor content."""
    for split in ("train", "val", "test"):
        for side in ("degraded", "target"):
            shutil.copytree(pairs / split / side, tmp_path / side / split)
    source = PairedFolders(tmp_path / "degraded", tmp_path / "target")
    assert len(source) > 8
    alone, together = (build(source, tmp_path / str(workers), workers)[1] for workers in (1, 2))
    for index in range(len(source)):
        assert alone.read(index).name == together.read(index).name
        assert np.array_equal(alone.read(index).degraded, together.read(index).degraded)


SOURCE = """
import numpy as np
from benchmark.data import Pair, Source

class Greys(Source):
    origin = "made here"
    fingerprint = "greys"

    def __len__(self):
        return 9

    def read(self, index):
        image = np.full((4, 4, 3), index, np.uint8)
        return Pair(f"n{index}", image, image)
"""


def test_workers_know_the_sources_of_plugins(tmp_path: Path) -> None:
    """A source from a plugin file is read by several processes like one of the project's own."""
    plugin = tmp_path / "greys.py"
    plugin.write_text(SOURCE)
    source = Registry((plugin,)).create("source", "greys", {})
    ready = build(source, tmp_path / "cache", 2, (plugin,))[1]
    assert [int(ready.read(index).target[0, 0, 0]) for index in range(9)] == list(range(9))


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """An unreadable pair ends the build with its message, and no cache that could be mistaken for one."""
    with pytest.raises(DataError, match="number 2 is broken"):
        build(Made(broken=2), tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_build_is_not_taken_for_a_cache(tmp_path: Path) -> None:
    """What a build leaves when it stops in the middle is ignored by the next."""

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(Made(), tmp_path, 1, on_progress=stop)
    (tmp_path / ".building-old").mkdir()
    assert build(Made(), tmp_path, 1)[0] == [1, 2, 3, 4]


def test_two_builders_do_not_harm_each_other(tmp_path: Path) -> None:
    """The second to finish finds the first one's cache and uses it."""
    ready: list[Source] = []

    def build_too(count: int) -> None:
        if count == 1:
            ready.append(cached(Made(), tmp_path, 1))

    ready.append(cached(Made(), tmp_path, 1, on_progress=build_too))
    assert [source.read(3).name for source in ready] == ["n3", "n3"]
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unwritable_cache_is_an_error(tmp_path: Path) -> None:
    """The message says where and how to choose another place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set BENCHMARK_CACHE"):
        build(Made(), tmp_path / "file", 1)


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$BENCHMARK_CACHE`, else the user's cache folder of the system, else a temporary folder; never below `./~`."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("BENCHMARK_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg/restoration-benchmark"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert cache_folder() == tmp_path / "home/.cache/restoration-benchmark"
        monkeypatch.setattr(
            kept_values, "user_cache_path", lambda name, appauthor: Path("~/.cache") / name
        )  # as without one
        assert cache_folder() == Path(tempfile.gettempdir()) / "restoration-benchmark"


def test_a_user_without_home_has_a_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where no user has this number: among the temporary files."""

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("BENCHMARK_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert cache_folder() == Path(tempfile.gettempdir()) / "restoration-benchmark"
