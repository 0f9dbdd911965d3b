"""Read and write files whose paths come from a user, or that several processes share. Harness and reports use it alike.

Only regular files are read: a pipe, a device or a socket is an error at once, where opening it could wait for ever.

A regular file is written whole or not at all, so that a reader never sees half a file: to a temporary name beside it,
flushed to disk, renamed. A symbolic link stays, and the file it leads to is replaced. What is written to a pipe or a
device goes straight into it. New files get the permissions that the umask leaves.

A temporary name tells which process wrote under it. The next process that writes into the folder removes the temporary
files of processes that were killed.
"""

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

from reports.process_identity import host_id, start_time

MOST_BYTES = 1 << 28
"""A file that is read as a whole is at most this large."""
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip
_TEMPORARY = re.compile(r"\.writing-(?P<host>[0-9a-f]{12})-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]{8}")
_ABANDONED_SECONDS = 86_400.0
"""A temporary file of another host belongs to a killed process if it is older."""


def check_regular(file: Path) -> None:
    """Check that a path leads to a regular file, without opening it.

    Raises:
        OSError: It does not exist, or is a folder, pipe, device or socket; the message says what it is.
    """
    kind = stat.S_IFMT(file.stat().st_mode)
    if kind != stat.S_IFREG:
        number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
        raise OSError(number, f"is {_KINDS.get(kind, 'no file')}, not a regular file", str(file))


def open_file(file: Path) -> io.BufferedReader:
    """Open a regular file for reading; see `check_regular`.

    Raises:
        OSError: The file cannot be opened, or is no regular file.
    """
    check_regular(file)
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def read_bytes(file: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: The file cannot be read, is no regular file, or is larger than `most_bytes`.
    """
    with open_file(file) as handle:
        if os.fstat(handle.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"is larger than {most_bytes:,} bytes", str(file))
        return handle.read()


def read_text(file: Path, errors: str = "strict", most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a regular file in UTF-8, without byte-order mark, with line feeds as ends of lines.

    Raises:
        OSError: As `read_bytes`.
        ValueError: The file is not in UTF-8, where `errors` is "strict".
    """
    return io.TextIOWrapper(io.BytesIO(read_bytes(file, most_bytes)), "utf-8-sig", errors).read()


def write_bytes(file: Path, data: bytes) -> None:
    """Write a file as this module says, and create its folder.

    Raises:
        OSError: The file cannot be written, e.g. on a full disk. An earlier file of that name is then untouched.
    """
    kind = stat.S_IFREG
    with suppress(FileNotFoundError):
        kind = stat.S_IFMT(file.stat().st_mode)
    if kind == stat.S_IFREG:
        _replace(Path(os.path.realpath(file)), data)
    elif kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(file))
    else:
        _write_into(file, data)


def create_bytes(file: Path, data: bytes) -> None:
    """Write a file that must not exist yet, whole or not at all; of several processes that try, one succeeds.

    On a file system without hard links, two that try in the same moment may both succeed; the later content stays.

    Raises:
        FileExistsError: There is such a file; it stays as it is.
        OSError: The file cannot be written, e.g. on a full disk.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(file.parent)
    try:
        _write_flushed(temporary, data)
        try:
            os.link(temporary, file)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            if file.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from None
            temporary.replace(file)
    except OSError as error:  # which may name the temporary file
        raise OSError(error.errno, error.strerror, str(file)) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_path(folder: Path) -> Path:
    """Return a path in `folder` for a file or folder of this process that is to be renamed; the name is short."""
    return folder / f".writing-{_host_digest()}-{os.getpid()}-{start_time(os.getpid()) or 0}-{secrets.token_hex(4)}"


@lru_cache(maxsize=1024)
def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left under temporary names in a folder. A process does this once for a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _TEMPORARY.fullmatch(entry.name)
            if name and _is_abandoned(name, entry):
                path = Path(entry.path)
                with suppress(OSError):  # another process may remove it, too
                    shutil.rmtree(path) if entry.is_dir(follow_symlinks=False) else path.unlink()


def _replace(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(file.parent)
    temporary = temporary_path(file.parent)
    try:
        _write_flushed(temporary, data)
        temporary.replace(file)
    except OSError as error:  # which names the temporary file
        raise OSError(error.errno, error.strerror, str(file)) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_flushed(file: Path, data: bytes) -> None:
    with file.open("xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _write_into(file: Path, data: bytes) -> None:
    """Write into a pipe, device or terminal. One that nobody reads is an error, where opening it would wait."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise OSError(errno.ENXIO, "is a pipe that no process reads, or a socket", str(file)) from None
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)


def _is_abandoned(name: re.Match[str], entry: os.DirEntry[str]) -> bool:
    if name["host"] == _host_digest() and name["started"] != "0":
        return str(start_time(int(name["pid"]))) != name["started"]
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_SECONDS


@cache
def _host_digest() -> str:
    return hashlib.sha256(host_id().encode()).hexdigest()[:12]
