"""Caches keep to the disk and to what they are allowed, and killed builds leave nothing for long."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.data import Pair, cache_quota
from benchmark.data.cache import cached
from benchmark.data.cache_health import BUILD_PREFIX, remove_killed_builds
from benchmark.data.cache_quota import check_disk_quota
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.errors import DataError

PAIR = Pair("p", np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8))


def several(count: int) -> Iterator[Pair]:
    return (PAIR for _ in range(count))


def test_what_does_not_fit_is_an_error_after_the_first_pair(tmp_path: Path) -> None:
    """More than the disk has free: nothing is written for hours before it fails."""
    with pytest.raises(
        DataError, match=r"takes about \d+\.\d GB, .* [GM]B are free; free space or set BENCHMARK_CACHE"
    ):
        list(check_disk_quota(several(3), 10**15, tmp_path))
    assert len(list(check_disk_quota(several(3), 3, tmp_path))) == 3


def test_a_limit_counts_all_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`BENCHMARK_CACHE_GB` holds for what lies there already and the new one together."""
    monkeypatch.setenv("BENCHMARK_CACHE_GB", "0.000002")  # 2000 bytes
    assert len(list(check_disk_quota(several(3), 3, tmp_path))) == 3
    (tmp_path / "old").mkdir()
    (tmp_path / "old/images.npy").write_bytes(bytes(500))
    with pytest.raises(DataError, match=r"beside 0\.0 MB of others, BENCHMARK_CACHE_GB allows 2e-06; delete caches"):
        list(check_disk_quota(several(3), 3, tmp_path))


@pytest.mark.parametrize("text", ["much", "-1", "0", "nan"])
def test_a_limit_that_is_no_number_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It is not passed over in silence."""
    monkeypatch.setenv("BENCHMARK_CACHE_GB", text)
    with pytest.raises(DataError, match=f"BENCHMARK_CACHE_GB is '{text}'; set it to a number of gigabytes"):
        list(check_disk_quota(several(1), 1, tmp_path))


def test_a_large_cache_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """From a gigabyte on; small ones come without a word."""
    monkeypatch.setattr(cache_quota.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    with caplog.at_level(logging.WARNING):
        list(check_disk_quota(several(1), 1_000_000, tmp_path))
        assert caplog.messages == []
        list(check_disk_quota(several(1), 5_000_000, tmp_path))
    assert caplog.messages == [
        f"the cache of 5000000 pairs takes about 3.0 GB in {tmp_path}; it can be deleted at any time"
    ]


BUILD = """
import sys, time
from pathlib import Path
from benchmark.data.cache import cached
from benchmark.data.sources.paired_folders import PairedFolders

folder, root = map(Path, sys.argv[1:3])

def on_progress(count):
    print(count, flush=True)
    time.sleep(float(sys.argv[3]))

cached(PairedFolders(folder / "degraded", folder / "target"), root, 1, on_progress=on_progress)
"""


def build(folder: Path, root: Path, pause_s: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", BUILD, str(folder), str(root), str(pause_s)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def finish(source: PairedFolders, root: Path) -> int:
    progress: list[int] = []
    cached(source, root, 1, on_progress=progress.append)
    return len(progress)


def test_kill_9_leaves_no_cache_and_no_litter(pairs: Path, tmp_path: Path) -> None:
    """While a builder lives its folder is left alone; once it was killed, the next build clears it away."""
    folder, root = pairs / "train", tmp_path / "cache"
    source = PairedFolders(folder / "degraded", folder / "target")
    builder = build(folder, root, 600)
    assert builder.stdout is not None and builder.stdout.readline() == "1\n"
    assert finish(source, root) == 4
    assert len(list(root.glob(".building-*"))) == 1
    os.kill(builder.pid, signal.SIGKILL)
    builder.communicate()
    other = PairedFolders(pairs / "val/degraded", pairs / "val/target")
    assert finish(other, root) == 2
    assert list(root.glob(".building-*")) == []
    assert len(list(root.iterdir())) == 2


def test_a_builder_of_another_host_is_dead_after_an_hour(tmp_path: Path) -> None:
    """Nobody here can see its process; while it is alive, its heartbeat renews the folder."""
    folder = tmp_path / f"{BUILD_PREFIX}x"
    folder.mkdir()
    (folder / "build.1").write_text('{"host": "another", "pid": 1, "started": 1}')
    remove_killed_builds(tmp_path)
    assert folder.is_dir()
    os.utime(folder, (time.time() - 4000, time.time() - 4000))
    remove_killed_builds(tmp_path)
    assert not folder.exists()


def test_a_build_is_marked_until_it_is_a_cache(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any moment before, it can be recognised as dead; afterwards no mark is left."""
    rename, marked = Path.rename, []

    def watched(path: Path, target: Path) -> Path:
        if path.is_dir():
            marked.append((path / "build.1").is_file())
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    assert finish(PairedFolders(pairs / "val/degraded", pairs / "val/target"), tmp_path / "cache") == 2
    assert marked == [True]
    (cache,) = (tmp_path / "cache").iterdir()
    assert sorted(file.name for file in cache.iterdir()) == ["arrays.bin", "index.json"]


def test_two_processes_build_one_cache(pairs: Path, tmp_path: Path) -> None:
    """Both finish, one cache is there, and it is whole."""
    folder, root = pairs / "train", tmp_path / "cache"
    both = [build(folder, root, 0.05) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].split()[-1:] for process in both] in (
        [["4"], ["4"]],
        [["4"], []],  # one was so late that it found the other's
        [[], ["4"]],
    )
    assert [process.returncode for process in both] == [0, 0]
    (only,) = root.iterdir()
    assert (only / "index.json").is_file() and not list(only.glob("build*"))


def test_a_changed_source_makes_a_new_cache(pairs: Path, tmp_path: Path) -> None:
    """A picture that was replaced is read again; the cache of before is not mistaken for it."""
    copy = Path(shutil.copytree(pairs / "val", tmp_path / "val"))
    source = PairedFolders(copy / "degraded", copy / "target")
    assert [finish(source, tmp_path / "cache"), finish(source, tmp_path / "cache")] == [2, 0]
    os.utime(copy / "target/picture_00.png", (0, time.time() - 1000))
    assert finish(PairedFolders(copy / "degraded", copy / "target"), tmp_path / "cache") == 0
    shutil.copy(copy / "target/picture_01.png", copy / "target/picture_00.png")
    assert finish(PairedFolders(copy / "degraded", copy / "target"), tmp_path / "cache") == 2


def test_two_processes_mend_one_damaged_cache(pairs: Path, tmp_path: Path) -> None:
    """Both notice the damage at the same time; the new cache of one is not set aside by the other for long."""
    folder, root = pairs / "train", tmp_path / "cache"
    source = PairedFolders(folder / "degraded", folder / "target")
    assert finish(source, root) == 4
    (cache,) = root.iterdir()
    (cache / "arrays.bin").write_bytes(b"x" * 100)
    both = [build(folder, root, 0.05) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(file.name for file in root.iterdir()) == [f".damaged-{cache.name}", cache.name]
    ready = cached(source, root, 1)
    assert all(np.array_equal(ready.read(index).target, source.read(index).target) for index in range(4))
