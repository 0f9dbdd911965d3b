"""Numbers and names as people read them. `None` is shown as an en dash everywhere."""

import unicodedata

ABSENT = "–"
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def number(value: float | None, decimals: int) -> str:
    """A number with fixed decimals, thousands apart and a true minus sign."""
    if value is None:
        return ABSENT
    shown = f"{value:,.{decimals}f}"
    if float(shown.replace(",", "")) == 0:
        shown = shown.removeprefix("-")  # -0.00 reads as if it were below zero
    return shown.replace("-", "−")


def signed(value: float | None, decimals: int) -> str:
    """A difference: always with its sign, except for zero."""
    shown = number(value, decimals)
    return f"+{shown}" if value is not None and value > 0 and shown.strip("0.,") else shown


def with_unit(shown: str, unit: str) -> str:
    """`31.20 dB`; a number without unit stands alone."""
    return f"{shown} {unit}" if unit else shown


def megabytes(value: float | None) -> str:
    """Bytes as MB of 10^6 bytes, three significant digits below 100."""
    return significant(None if value is None else value / 1e6)


def giga(value: float | None) -> str:
    """A count in units of 10^9."""
    return significant(None if value is None else value / 1e9)


def significant(value: float | None) -> str:
    """About three significant digits, never fewer than the whole number."""
    if value is None:
        return ABSENT
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return number(value, decimals)


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits their size."""
    if seconds is None:
        return ABSENT
    if seconds < 120:
        return f"{number(seconds, 1)} s"
    return f"{number(seconds / 60, 1)} min" if seconds < 7200 else f"{number(seconds / 3600, 1)} h"


def count(amount: int, singular: str, plural: str = "") -> str:
    """`1 seed`, `2 seeds`."""
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def listing(words: list[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def printable(name: str) -> str:
    """A name without characters that no XML holds, that are no text, or that turn the text around them."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _unprintable(letter) else letter for letter in name)


def seed_name(seed: int | None) -> str:
    """`seed 0`; floor rows have none."""
    return ABSENT if seed is None else f"seed {seed}"


def _unprintable(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs", "Cn") or letter in _REORDERING
