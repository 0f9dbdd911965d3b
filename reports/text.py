"""Numbers and names as readers see them. `None` is shown as an en dash everywhere."""

import hashlib
import re
import unicodedata

ABSENT = "–"
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def number(value: float | None, decimals: int) -> str:
    """Return a number with fixed decimals, commas between thousands and a true minus sign."""
    if value is None:
        return ABSENT
    shown = f"{value:,.{decimals}f}"
    if float(shown.replace(",", "")) == 0:
        shown = shown.removeprefix("-")  # -0.00 looks like a number below zero
    return shown.replace("-", "−")


def signed(value: float | None, decimals: int) -> str:
    """Return a difference: always with its sign, except for zero."""
    shown = number(value, decimals)
    return f"+{shown}" if value is not None and value > 0 and shown.strip("0.,") else shown


def with_unit(shown: str, unit: str) -> str:
    """Return `31.20 dB`; without a unit, the number alone."""
    return f"{shown} {unit}" if unit else shown


def megabytes(value: float | None) -> str:
    """Return bytes in MB of 10^6 bytes, about three significant digits."""
    return significant(None if value is None else value / 1e6)


def giga(value: float | None) -> str:
    """Return a count in units of 10^9."""
    return significant(None if value is None else value / 1e9)


def significant(value: float | None) -> str:
    """Return a number with about three significant digits, never fewer than its whole part."""
    if value is None:
        return ABSENT
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return number(value, decimals)


def duration(seconds: float | None) -> str:
    """Return seconds, minutes or hours, whichever suits."""
    if seconds is None:
        return ABSENT
    if seconds < 120:
        return f"{number(seconds, 1)} s"
    return f"{number(seconds / 60, 1)} min" if seconds < 7200 else f"{number(seconds / 3600, 1)} h"


def count(amount: int, singular: str, plural: str = "") -> str:
    """Return `1 seed`, `2 seeds`."""
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def listing(words: list[str], last: str = "and") -> str:
    """Return `a, b and c`."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def printable(name: str) -> str:
    """Return a name without characters that XML cannot hold, that are no text, or that reorder the text around them."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(letter) in ("Cc", "Cs", "Cn") or letter in _REORDERING
        else letter
        for letter in name
    )


def row_and_seed(row: str, seed: int | None) -> str:
    """Return `base, seed 0`; the row alone for a baseline."""
    return row if seed is None else f"{row}, seed {seed}"


def seed_name(seed: int | None) -> str:
    """Return `seed 0`; baselines have no seed."""
    return ABSENT if seed is None else f"seed {seed}"


def anchor(name: str) -> str:
    """Return a name as part of an HTML id: as it is where it has plain letters only, else with a digest of it."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(printable(name).encode()).hexdigest()[:6]}"
