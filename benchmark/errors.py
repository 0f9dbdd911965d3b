"""Errors that the user can mend; each message is one line: what was read, where, what is allowed, what to do.

    BenchmarkError              root; the command line prints the message and exits with code 2
    ├── ExperimentError         an experiment file, or a --set, has an unknown or impossible setting
    ├── ComponentError          an unknown component or option, or a component that breaks its contract
    ├── DataError               a folder, an image or a pair is missing or cannot be read
    ├── RecordError             a folder has no record, or its records belong to other settings
    ├── CheckpointError         a file of weights cannot be read, or belongs to another network
    ├── RuntimeUnavailable      a runtime is not installed, or cannot run this network on this device
    ├── ProcessError            a process died before it returned its result
    └── RowError                a row failed; its record says so, the other rows go on, the exit code is 1

`reports.errors.ReportError` is the counterpart in the package `reports`, which imports nothing of this one.
"""

import errno
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Final

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a disk, or of a user's share of it, that is full: no fault of what was being written."""


class BenchmarkError(Exception):
    """Root of all errors that the user can mend."""


class ExperimentError(BenchmarkError):
    """An experiment file, or a `--set`, has an unknown or impossible setting."""


class ComponentError(BenchmarkError):
    """A component or option is unknown, or a component breaks its contract."""


class DataError(BenchmarkError):
    """A folder, an image or a pair of images is missing or cannot be read."""

    def __str__(self) -> str:
        """Return the message on one line that can be printed, whatever names and files of others contain."""
        return printable(super().__str__())


class RecordError(BenchmarkError):
    """A folder has no record, or its records belong to other settings."""


class CheckpointError(BenchmarkError):
    """A file of weights cannot be read, or belongs to another network."""


class RuntimeUnavailable(BenchmarkError):  # noqa: N818  # nothing is wrong: something is not installed
    """A runtime is not installed, or cannot run this network on this device."""


class ProcessError(BenchmarkError):
    """A process died before it returned its result."""


class RowError(BenchmarkError):
    """A row failed; its record says so, and the other rows go on."""


RENAMED_KEYS: Final[Mapping[str, str]] = {
    "carry": "output",
    "frozen_norm": "freeze_bn_fraction",
    "maps": "map_l1",
    "margin": "equivalence_margin",
    "region": "mask_bce_dice",
}
"""Former names of settings and components, with the present ones. A former name is an error that says the present."""
_SHOWN_CHARACTERS = 200
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "your quota on that disk is used up; make room there",
    errno.EACCES: "give this user the right, or choose another path",
    errno.EPERM: "give this user the right, or choose another path",
    errno.EROFS: "choose a path that can be written",
    errno.ENOTDIR: "a file is in the way of that folder; choose another path",
    errno.EEXIST: "something else is in the way of that path; choose another one",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOMEM: "free some memory",
    errno.EIO: "the disk may be broken; see the system's log",
    errno.EPIPE: "the program that reads the output has ended",
}
"""What to do about an error of the system, by its number."""


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what cannot be printed, such as line feeds in names of files."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(text: str) -> str:
    """Return a text of others for a message: on one line, at most 200 characters, all of which can be written."""
    start = printable(text[:_SHOWN_CHARACTERS])
    return start if len(text) <= _SHOWN_CHARACTERS else f"{start}..."


def suggestion(word: str, allowed: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: its present name, the nearest known word, or all of them."""
    names = sorted(allowed)
    if (present := RENAMED_KEYS.get(word)) in names:
        return f"it is called {present!r} now"
    near = get_close_matches(word, names, n=1, cutoff=0.5)  # 0.5: `l2` is near `l1`
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"


def counted(amount: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"


def system_error(error: OSError) -> str:
    """Return what the system refused, in one line: the path, the reason, and what to do where that is known."""
    if error.strerror is None:
        return shown(str(error)) or type(error).__name__
    paths = " -> ".join(shown(str(path)) for path in (error.filename, error.filename2) if path is not None)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{paths}{': ' if paths else ''}{error.strerror}" + (f"; {remedy}" if remedy else "")


def missing_packages(packages: Iterable[str], extra: str) -> str | None:
    """Return which packages are not installed and what installs them; None if all are installed. Imports nothing."""
    missing = [package for package in packages if find_spec(package) is None]
    return f"{', '.join(missing)} not installed; pip install 'restoration-benchmark[{extra}]'" if missing else None


def root_cause(error: BaseException) -> str:
    """Return the first line of the first error in the chain that led to this one, e.g. of a library."""
    while error.__cause__:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
