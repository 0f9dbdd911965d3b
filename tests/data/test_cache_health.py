"""A cache is what was written, or it is made again; what it cannot do is said with its cause."""

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmark.data import Pair, Source, cache
from benchmark.data.cache import cached
from benchmark.data.split_leakage import check_contents
from benchmark.errors import DataError
from benchmark.files import digest_of


class Noise(Source):
    """Two pairs of random pixels."""

    origin: ClassVar[str] = "made here"
    fingerprint = "noise"

    def __len__(self) -> int:
        return 2

    def read(self, index: int) -> Pair:
        pixels = np.random.default_rng(index).integers(0, 256, (2, 8, 9, 3), np.uint8)
        return Pair(f"n{index}", pixels[0], pixels[1])


def flip_bit(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "first bit": lambda content: flip_bit(content, 0),
    "middle bit": lambda content: flip_bit(content, len(content) // 2),
    "last bit": lambda content: flip_bit(content, len(content) - 1),
    "inverted": lambda content: bytes(255 - byte for byte in content),
    "cut": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + bytes(1),
    "empty": lambda content: b"",
    "another form": lambda content: b"[1]",
}


@pytest.mark.parametrize("name", ["arrays.bin", "index.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_named_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    """One flipped bit is enough; the pixels are those of the source, and the damaged files are kept aside."""
    cached(Noise(), tmp_path, 1)
    (folder,) = tmp_path.iterdir()
    changed = DAMAGES[damage]((folder / name).read_bytes())
    (folder / name).write_bytes(changed)
    source = cached(Noise(), tmp_path, 1)
    assert all(np.array_equal(source.read(index).target, Noise().read(index).target) for index in range(2))
    check_contents("base", {"train": source})
    aside = tmp_path / f".damaged-{folder.name}"
    assert caplog.messages == [
        f"{folder / name}: not what was written; the cache is set aside in {aside} and made again"
    ]
    assert (aside / name).read_bytes() == changed
    progress: list[int] = []
    cached(Noise(), tmp_path, 1, on_progress=progress.append)
    assert progress == [] and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["arrays.bin", "index.json"])
def test_a_missing_file_is_made_again(tmp_path: Path, name: str) -> None:
    """A folder without one of its files is no cache."""
    cached(Noise(), tmp_path, 1)
    (folder,) = tmp_path.iterdir()
    (folder / name).unlink()
    assert np.array_equal(cached(Noise(), tmp_path, 1).read(1).target, Noise().read(1).target)


def test_a_process_reads_a_cache_once_to_check_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SHA-256 of the arrays is computed at the first opening, and again only if size or time changed."""
    cached(Noise(), tmp_path, 1)
    (folder,) = tmp_path.iterdir()
    cached(Noise(), tmp_path, 1)
    monkeypatch.setattr("reports.digests.hashlib.file_digest", lambda *_: pytest.fail("it was read again"))
    cached(Noise(), tmp_path, 1)
    assert len(digest_of(folder / "arrays.bin")) == 64


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o775), (0o022, 0o755), (0o077, 0o700)])
def test_the_umask_decides_who_may_read_a_cache(tmp_path: Path, umask: int, mode: int) -> None:
    """A group that shares a cache reads what its members build."""
    before = os.umask(umask)
    try:
        cached(Noise(), tmp_path / "cache", 1)
    finally:
        os.umask(before)
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.stat().st_mode & 0o777 == mode
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {mode & 0o666}


OPEN = """
import os, sys, tempfile
from pathlib import Path
from benchmark.errors import DataError
from test_cache_health import Noise, cached
with tempfile.TemporaryDirectory() as own:  # loads all modules: later the interpreter may lie in a closed home
    for _ in range(2):
        cached(Noise(), Path(own), 1).read(1)
os.setuid(65534)
try:
    print(cached(Noise(), Path(sys.argv[1]), 1).read(1).name)
except DataError as error:
    print(error)
"""


def as_nobody(root: Path) -> str:
    """Open the cache below a folder in a process of a user who owns nothing; return what it prints."""
    project = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{project}:{Path(__file__).parent}", "HOME": "/nonexistent"}
    arguments = [sys.executable, "-B", "-c", OPEN, str(root)]
    process = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=project)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A cache that belongs to root, in folders that everybody may enter."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    cached(Noise(), tmp_path / "cache", 1)
    return tmp_path / "cache"


def test_another_user_reads_a_cache_that_he_cannot_write(shared: Path) -> None:
    """Nothing needs to be written to read what is there."""
    assert as_nobody(shared) == "n1"


def test_a_cache_that_another_user_closed_is_an_error(shared: Path) -> None:
    """One line with the cause; it is not taken for a damaged one."""
    (folder,) = shared.iterdir()
    folder.chmod(0o700)
    assert as_nobody(shared) == (
        f"{folder}: the cache cannot be read (Permission denied); its owner can permit it, "
        "or set BENCHMARK_CACHE to a folder of your own"
    )


def test_a_damaged_cache_of_another_user_is_an_error(shared: Path) -> None:
    """It can be named, but not be set aside."""
    (folder,) = shared.iterdir()
    (folder / "arrays.bin").write_bytes(b"")
    assert as_nobody(shared) == (
        f"{folder / 'arrays.bin'}: not what was written, and the cache cannot be set aside (Permission denied); "
        "delete the folder, or set BENCHMARK_CACHE to another one"
    )


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the cause of the system; half a cache is removed."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "fsync", full)
    message = (
        f"{tmp_path}: the cache cannot be written: No space left on device; make room on that disk; or set "
        "BENCHMARK_CACHE to another folder"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        cached(Noise(), tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_none_of_the_disk_does_not_blame_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files are not mended by another folder."""

    def exhausted(_: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(cache.os, "fsync", exhausted)
    with pytest.raises(DataError, match=r"the cache cannot be made: Too many open files; allow more .*\(ulimit -n\)$"):
        cached(Noise(), tmp_path, 1)


def test_an_error_of_the_source_is_none_of_the_cache(tmp_path: Path) -> None:
    """A source of the user that cannot open its own file does not lead to advice about the cache."""

    class Gone(Noise):
        def read(self, index: int) -> Pair:
            Path("gone.npy").read_bytes()
            return super().read(index)

    with pytest.raises(DataError, match=r"^Gone: the items cannot be read: gone\.npy: No such file") as error:
        cached(Gone(), tmp_path, 1)
    assert "BENCHMARK_CACHE" not in str(error.value)


def test_a_folder_of_caches_that_another_user_closed_takes_no_new_one(shared: Path) -> None:
    """The cause and the way out stand in one line, and nothing is left there."""
    (folder,) = shared.iterdir()
    shutil.rmtree(folder)
    message = as_nobody(shared)
    assert message.startswith(f"{shared}: the cache cannot be written: {shared}/")
    remedy = "give this user the right, or choose another path; or set BENCHMARK_CACHE to another folder"
    assert message.endswith(f"Permission denied; {remedy}") and "\n" not in message
    assert list(shared.iterdir()) == []
