"""Write a file whole or not at all.

Shared by the harness and the reports: both promise that a reader never sees half a file, and `reports` must not import
`benchmark`. This is why it is the fourth file that all of `benchmark` may import.
"""

import os
from pathlib import Path


def write_bytes(file: Path, data: bytes) -> None:
    """Write `data` to a temporary name beside `file`, flush it to disk, rename it. Creates the folder.

    Raises:
        OSError: The file cannot be written, e.g. on a full disk. An earlier file of that name is then untouched.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
