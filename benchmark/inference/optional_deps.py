"""Packages of others: which are missing, the line that installs them, and why they failed."""

from collections.abc import Iterable
from importlib.util import find_spec


def missing_packages(packages: Iterable[str], extra: str) -> str | None:
    """Which packages are not installed and what installs them, in one line; None if all are there. Imports nothing."""
    missing = [package for package in packages if find_spec(package) is None]
    return f"{', '.join(missing)} not installed; pip install 'restoration-benchmark[{extra}]'" if missing else None


def reason(error: BaseException) -> str:
    """Why a library failed: the first line of the first error in the chain that led to this one."""
    while error.__cause__:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
