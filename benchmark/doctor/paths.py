"""Folders that are written to, and the checkout that the code comes from."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmark.doctor.finding import Finding

_LEAST_DISK_BYTES, _WANTED_DISK_BYTES = 1_000_000_000, 15_000_000_000
"""The quickstart's data take 0.3 GB; 2,000 decoded pairs of 512 pixels with their maps 9.4 GB."""


def cache() -> Finding:
    from benchmark.data.cache import cache_folder

    return _folder("cache folder", cache_folder(), "export BENCHMARK_CACHE=FOLDER")


def runs(output: Path) -> Finding:
    return _folder("runs folder", output.absolute(), "pass --output FOLDER to run")


def _folder(name: str, folder: Path, mend: str) -> Finding:
    """Whether files can be made in a folder, or, as long as it does not exist, in the nearest one above it."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(name, "fail", f"{folder}: cannot be written ({error})", mend)
    found = f"{folder}: writable, {free / 1e9:.1f} GB free"
    if free >= _WANTED_DISK_BYTES:
        return Finding(name, "ok", found)
    needs = "the quickstart needs 0.3 GB, 2,000 pairs of 512 pixels 9.4 GB"
    verdict = "fail" if free < _LEAST_DISK_BYTES else "warn"
    return Finding(name, verdict, f"{found}; {needs}", f"free space, or {mend}")


def checkout() -> Finding:
    """Records name the commit of the code, which git must be able to tell."""
    root = Path(__file__).parents[2]
    if shutil.which("git") is None:
        return Finding("git", "absent", "not installed; records will not name the commit", "apt-get install git")
    asked = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Finding("git", "ok", f"commit {done.stdout.strip()} in {root}")
    if "dubious ownership" in done.stderr:
        mend = f"git config --global --add safe.directory {root}"
        return Finding("git", "warn", f"{root} belongs to another user; records will not name the commit", mend)
    found = f"{root} is no git checkout; records will not name the commit"
    return Finding("git", "absent", found, "clone the project with git instead of copying its files")
