"""Pixels decide fingerprints; time stamps and sizes only spare reading them again."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data import fingerprint
from benchmark.data.cache import cached
from benchmark.data.fingerprint import files_digest
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.kept_values import cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    fingerprint._pixel_digests.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a.bmp"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file)
    return file


def digest(file: Path, name: str = "a") -> str:
    return files_digest([(name, file)], [])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on."""
    files: list[Path] = []
    read = fingerprint.read_image
    monkeypatch.setattr(fingerprint, "read_image", lambda file: (files.append(file), read(file))[1])
    return files


def test_equal_pixels_have_equal_fingerprints(file: Path, tmp_path: Path) -> None:
    """Copied to another disk, touched, compressed in another way, saved in another format."""
    before = digest(file)
    os.utime(file, (0, 123))
    assert digest(file) == before
    (tmp_path / "disk").mkdir()
    shutil.copyfile(file, tmp_path / "disk/a.bmp")
    Image.open(file).save(tmp_path / "disk/a.png", compress_level=1)
    assert digest(tmp_path / "disk/a.bmp") == digest(tmp_path / "disk/a.png") == before
    assert digest(file, "b") != before


def test_a_changed_pixel_is_seen_behind_equal_size_and_time(file: Path) -> None:
    """BMP files have one size: a tool that sets the time back does not hide another picture."""
    status, before = file.stat(), digest(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    time.sleep(0.02)  # the resolution of time stamps of the file system
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert digest(file) != before


def test_a_file_is_decoded_once(file: Path, reads: list[Path]) -> None:
    """Other processes find its digest beside the caches; a file that is new in a folder is read alone."""
    before = digest(file)
    fingerprint._pixel_digests.cache_clear()  # as in another process
    assert digest(file) == before and reads == [file]
    other = file.with_name("b.bmp")
    shutil.copyfile(file, other)
    files_digest([("a", file), ("b", other)], [])
    assert reads == [file, other]


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": "0", "content": {}}', None])
def test_damaged_digests_are_computed_again(file: Path, reads: list[Path], content: str | None) -> None:
    """What is not what was written does not count: here also a digest in which one letter was changed."""
    before = digest(file)
    (kept,) = (cache_folder() / "digests").iterdir()
    text = kept.read_text()
    place = text.index('"a.bmp"') + 80
    kept.write_text(
        text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :] if content is None else content
    )
    fingerprint._pixel_digests.cache_clear()
    assert digest(file) == before and len(reads) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(file: Path, cache: Path, reads: list[Path]) -> None:
    """A file in the way of the folder of digests does no harm."""
    cache.mkdir()
    (cache / "digests").write_text("")
    before = digest(file)
    fingerprint._pixel_digests.cache_clear()
    assert digest(file) == before and len(reads) == 2


def test_the_cache_of_pairs_serves_their_copy(pairs: Path, tmp_path: Path) -> None:
    """Nothing is decoded again for the same pairs on another disk."""
    source = PairedFolders(pairs / "val/degraded", pairs / "val/target")
    cached(source, tmp_path / "cache", 1)
    copy = Path(shutil.copytree(pairs / "val", tmp_path / "val", copy_function=shutil.copyfile))
    progress: list[int] = []
    cached(PairedFolders(copy / "degraded", copy / "target"), tmp_path / "cache", 1, on_progress=progress.append)
    assert progress == []


def test_many_files_are_read_by_processes_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is that of the files."""
    rng = np.random.default_rng(0)
    named = [(f"{index}", tmp_path / f"{index}.png") for index in range(12)]
    for _, file in named:
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(file)
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "one"))
    alone = files_digest(named, [])
    fingerprint._pixel_digests.cache_clear()
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "two"))
    monkeypatch.setattr(fingerprint, "_FEWEST_FOR_WORKERS", 8)
    monkeypatch.setattr(fingerprint, "usable_cores", lambda: 2)
    assert files_digest(named, []) == alone
