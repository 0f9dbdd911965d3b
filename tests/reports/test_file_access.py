"""Files that a user names: nothing hangs, nothing but a regular file is replaced, and no writer leaves half a file."""

import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import file_access
from reports.file_access import MOST_BYTES, create_bytes, open_file, read_bytes, read_text, temporary_path, write_bytes

SECONDS = 20


@pytest.fixture(autouse=True)
def no_hang():
    """A call that waits for ever ends the test instead."""

    def end(*_: object) -> None:
        raise TimeoutError(f"waited for {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _fresh():
    """A process cleans a folder once; the tests of this file share a process."""
    file_access.remove_abandoned.cache_clear()


def make_pipe(file: Path) -> None:
    os.mkfifo(file)


def make_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(file))


def make_device(file: Path) -> None:
    """A device like /dev/null under another name: never the one that the whole machine uses."""
    try:
        os.mknod(file, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        with file.open("wb"):
            pass
    except PermissionError:
        pytest.skip("this user or file system allows no device here")


@pytest.mark.parametrize(
    ("make", "kind"),
    [(make_pipe, "a pipe"), (make_socket, "a socket"), (make_device, "a device"), (Path.mkdir, "a folder")],
)
@pytest.mark.parametrize("read", [open_file, read_bytes, read_text])
def test_only_regular_files_are_read(
    tmp_path: Path, make: Callable[[Path], None], kind: str, read: Callable[[Path], object]
) -> None:
    """Whatever else a path leads to is named at once, also behind a link."""
    make(tmp_path / "thing")
    (tmp_path / "link").symlink_to("thing")
    for name in ("thing", "link"):
        with pytest.raises(OSError, match=f"is {kind}, not a regular file"):
            read(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A sparse file takes no space on the disk but all of the memory."""
    with (tmp_path / "large").open("wb") as handle:
        handle.truncate(MOST_BYTES + 1)
    with pytest.raises(OSError, match="is larger than 268,435,456 bytes"):
        read_text(tmp_path / "large")
    (tmp_path / "small").write_bytes(b"12345")
    assert read_bytes(tmp_path / "small", most_bytes=5) == b"12345"
    with pytest.raises(OSError, match="is larger than 4 bytes"):
        read_bytes(tmp_path / "small", most_bytes=4)


def test_text_of_other_editors(tmp_path: Path) -> None:
    """A byte-order mark is no part of the text, and lines may end as on Windows."""
    file = tmp_path / "text"
    file.write_bytes(b"\xef\xbb\xbfname: \xc3\xa4\r\nseeds: 1\r\n")
    assert read_text(file) == "name: ä\nseeds: 1\n"
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="invalid start byte"):
        read_text(file)
    assert read_text(file, errors="backslashreplace") == "\\xff"


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    """To a file, to one that does not exist yet, and through a linked folder; nothing else is left in either folder."""
    (tmp_path / "target").write_text("old")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a").symlink_to("../target")
    (tmp_path / "links" / "b").symlink_to(tmp_path / "new" / "target")
    (tmp_path / "links" / "c").symlink_to(tmp_path / "new", target_is_directory=True)
    write_bytes(tmp_path / "links" / "a", b"1")
    write_bytes(tmp_path / "links" / "b", b"2")
    write_bytes(tmp_path / "links" / "c" / "d", b"3")
    assert all(path.is_symlink() for path in (tmp_path / "links").iterdir())
    files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and not path.is_symlink()]
    contents = {str(path.relative_to(tmp_path)): path.read_text() for path in files}
    assert contents == {"target": "1", "new/target": "2", "new/d": "3"}


def test_a_ring_of_links_is_an_error(tmp_path: Path) -> None:
    """Neither a hang nor a replaced link."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        write_bytes(tmp_path / "a", b"x")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read_bytes(tmp_path / "a")


def test_a_device_is_written_into(tmp_path: Path) -> None:
    """It stays a device, also where a link leads to it."""
    make_device(tmp_path / "null")
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"):
        write_bytes(tmp_path / name, b"x" * 100_000)
    assert stat.S_ISCHR((tmp_path / "null").lstat().st_mode) and (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"null", "link"}


def test_a_terminal_is_written_into() -> None:
    """The other side of a pseudo-terminal reads what was written."""
    ours, theirs = os.openpty()
    write_bytes(Path(os.ttyname(theirs)), b"hello\n")
    assert os.read(ours, 100) == b"hello\r\n"
    os.close(ours)
    os.close(theirs)


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    """More than the pipe holds at a time arrives whole, and the pipe stays."""
    pipe, data = tmp_path / "pipe", bytes(range(256)) * 1000
    os.mkfifo(pipe)
    copy = tmp_path / "copy"
    with copy.open("wb") as out, subprocess.Popen(["cat", str(pipe)], stdout=out) as reader:
        while True:
            try:
                write_bytes(pipe, data)
                break
            except OSError as error:
                assert "no process reads" in str(error)  # `cat` has not started yet
                time.sleep(0.05)
        assert reader.wait() == 0
    assert copy.read_bytes() == data
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("make", [make_pipe, make_socket])
def test_a_pipe_without_reader_is_an_error(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Opening it would wait until somebody reads, perhaps for ever."""
    make(tmp_path / "thing")
    with pytest.raises(OSError, match="is a pipe that no process reads, or a socket"):
        write_bytes(tmp_path / "thing", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_a_folder_is_not_written(tmp_path: Path) -> None:
    """The message names the folder; nothing is left in it or beside it."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"is a folder, not a file.*folder'"):
        write_bytes(tmp_path / "folder", b"x")
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_the_permissions(tmp_path: Path, mask: int, mode: int) -> None:
    """Users who share a folder choose with it whether others may read."""
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_is_created_once(tmp_path: Path, has_links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and never over another one; also where the file system has no hard links. No temporary file is left."""

    def no_link(_source: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not has_links:
        monkeypatch.setattr(file_access.os, "link", no_link)
    file = tmp_path / "folder/result.json"
    create_bytes(file, b"first")
    with pytest.raises(FileExistsError) as error:
        create_bytes(file, b"second")
    assert error.value.filename == str(file)
    assert file.read_bytes() == b"first" and [*file.parent.iterdir()] == [file]


def test_the_longest_name_works(tmp_path: Path) -> None:
    """A temporary name does not grow with the name of the file."""
    name = "ä" * 120 + "a" * 15
    assert len(name.encode()) == 255
    write_bytes(tmp_path / name, b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(temporary_path(tmp_path).name) < 80


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    """The disk refuses the second half: the message names the file that the user named, and nothing else is left."""
    file = tmp_path / "file"
    write_bytes(file, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"File too large: '{file}'"):
            write_bytes(file, b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]


KILLED = """
import os, signal, sys
from pathlib import Path
from reports.file_access import write_bytes
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
write_bytes(Path(sys.argv[1]), b"half" * 1000)
"""


def test_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    """The earlier file is whole, and the next process that writes into the folder, under any name, tidies up."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", KILLED, file]).returncode == -signal.SIGKILL
    assert file.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
    write_bytes(tmp_path / "other", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "other"}


def test_temporary_files_of_others_stay(tmp_path: Path) -> None:
    """Of a process that lives, of another host unless it is a day old, and of a user whose file has such a name."""
    ours = temporary_path(tmp_path).name
    host = ours.split("-")[1]
    elsewhere, long_ago = ours.replace(host, "0" * 12), ours.replace(host, "1" * 12)
    ended = ours.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")  # no pid is that large
    names = {ours, elsewhere, ".writing-notes.txt", "note.writing"}
    for name in (*names, long_ago, ended):
        (tmp_path / name).write_text("x")
    folder = temporary_path(tmp_path).name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    (tmp_path / folder / "inner").mkdir(parents=True)
    os.utime(tmp_path / long_ago, (0, 0))
    write_bytes(tmp_path / "file", b"x")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "file"}
