"""Replace a folder as a whole, so that a full disk or a kill leaves the earlier one and never half of the new one.

The new folder is made beside the earlier one, under a temporary name (see `reports.file_access`), and takes its place
by two renames. A process killed between the two leaves the earlier folder as `.NAME.former`; `settle` puts it back.
"""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from reports.file_access import remove_abandoned, temporary_path


def settle(folder: Path) -> None:
    """Put a folder back that a killed process had moved away, or remove that where the new one is in its place.

    Raises:
        OSError: It cannot be moved back.
    """
    folder = Path(os.path.realpath(folder))
    former = _former(folder)
    if former.is_dir():
        if folder.exists():
            shutil.rmtree(former, ignore_errors=True)
        else:
            former.rename(folder)


@contextmanager
def replaced(folder: Path) -> Generator[Path]:
    """Yield a copy of a folder, empty where there is none, that takes its place at the end; not after an error.

    Raises:
        OSError: The copy cannot be written, or cannot take the place of a folder that a disk is mounted at or that this
            process works in. The message names `folder`.
    """
    target = Path(os.path.realpath(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent)
    copy = temporary_path(target.parent)
    try:
        if target.is_mount() or Path.cwd().is_relative_to(target):
            reason = "is the working folder, holds it, or is a mounted disk, so it cannot be replaced; name one in it"
            raise OSError(None, reason, str(folder))
        if target.exists():
            shutil.copytree(target, copy, symlinks=True)
        copy.mkdir(exist_ok=True)
        yield copy
        if target.exists():
            target.rename(_former(target))
        copy.rename(target)
    except shutil.Error as error:  # of a copy: one error a file, as texts
        reason = str(error.args[0][0][2]).partition(": '")[0]
        raise OSError(None, f"cannot be copied before it is changed: {reason}", str(folder)) from None
    except OSError as error:  # which names a file of the copy
        name = str(error.filename or folder).replace(str(copy), str(folder))
        raise OSError(error.errno, error.strerror, name) from None
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        settle(target)


def _former(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.former")
