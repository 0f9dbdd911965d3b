"""SHA-256 of the files beside a record: noted in the file that is written last, checked by readers of what they use.

Shared by the harness and the reports, as `reports.file_access` is.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from reports.errors import FileFormatError
from reports.file_access import open_file

Digests = Mapping[str, str]
"""File, as a path relative to the folder -> SHA-256 in hex."""


def digest(file: Path) -> str:
    """Return the SHA-256 of a file. Raises OSError."""
    with open_file(file) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digests_of(folder: Path, last: str) -> dict[str, str]:
    """Return the digests of all files in a folder; hidden files, and the one that is written last, are left out."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    shown = [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]
    return {name: digest(folder / name) for name in shown if name != last}


def check(folder: Path, names: Iterable[str], digests: Digests, noted_in: str) -> None:
    """Check files against their digests; a file without one was not there when the digests were noted.

    Raises:
        FileFormatError: A file is missing, cannot be read, or has changed; the message begins with its name.
    """
    for name in digests.keys() & {*names}:
        try:
            actual = digest(folder / name)
        except FileNotFoundError:
            raise FileFormatError(f"{name} is missing, though {noted_in} names it") from None
        except OSError as error:
            raise FileFormatError(f"{name} cannot be read ({error.strerror})") from None
        if actual != digests[name]:
            raise FileFormatError(f"{name} is damaged: its SHA-256 is not the one in {noted_in}")
