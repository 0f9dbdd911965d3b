"""Scales of figures: from values to px, the ticks along them, and how wide a text is."""

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

LOG_BEYOND = 20.0
"""An axis is logarithmic where its values differ by more than this factor."""
_NARROW, _WIDE = frozenset("fijltrI.,:;'`|!()[]{}/ -"), frozenset("mwMW@%")
_LETTERS = 0.58
"""Width of most letters in em, generous for common sans-serif fonts."""


@dataclass(frozen=True)
class Rule:
    """A tick, or a line across the plot, at `at` px."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """From values to px: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def position(self, value: float) -> float:
        """Return the place of a value in px."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = map(math.log10, (low, high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self, most: int = 6, *, whole: bool = False) -> tuple[Rule, ...]:
        """Return ticks at round values, about `most` of them.

        Args:
            most: How many there may be; a logarithmic scale has its own number.
            whole: At whole numbers only, with k and M for thousands and millions.
        """
        if self.is_log:
            values = _log_ticks(self.low, self.high)
            return tuple(Rule(self.position(value), f"{value:g}") for value in values)
        step, values = _linear_ticks(self.low, self.high, most, whole=whole)
        return tuple(Rule(self.position(value), _compact(value) if whole else _label(value, step)) for value in values)


def spanning(values: Iterable[float], start: float, end: float, *, pad: float = 0.05, is_log: bool = False) -> Scale:
    """Return a scale that holds all finite values, with `pad` of their span at both ends."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if is_log:
        factor = (high / low) ** pad
        return Scale(low / factor, high * factor, start, end, is_log=True)
    span = (high - low) or max(1e-3 * abs(high), 1e-9)
    return Scale(low - pad * span, high + pad * span, start, end)


def is_wide(values: Iterable[float]) -> bool:
    """Tell whether positive values call for a logarithmic scale."""
    shown = list(values)
    return bool(shown) and max(shown) > LOG_BEYOND * min(shown) > 0


def text_width(words: str, size: float = 13.0) -> float:
    """Return the estimated width of a text in px, rather too large; `size` is that of the font in px."""
    return size * sum(map(_em, words))


def shortened(words: str, most_px: float, size: float = 13.0) -> str:
    """Return a text that is at most `most_px` wide; a longer one ends in an ellipsis."""
    if text_width(words, size) <= most_px:
        return words
    end = len(words)
    while end > 1 and text_width(words[:end], size) + size > most_px:
        end -= 1
    return f"{words[:end]}…"


def _em(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return 0.36 if letter in _NARROW else 0.9 if letter in _WIDE else 0.7 if letter.isupper() else _LETTERS


def _linear_ticks(low: float, high: float, most: int, *, whole: bool) -> tuple[float, list[float]]:
    """Return the step and its multiples between `low` and `high`: at least two, unless they must be whole."""
    least = max((high - low) / most, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(least))
    mantissas = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(mantissa * power for mantissa in mantissas if mantissa * power >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if first == last and not whole:  # a single tick gives no scale
        return _linear_ticks(low, high, most + 1, whole=False)
    return step, [number * step for number in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten; of many decades, powers of ten alone."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / 8))
    factors = (1, 2, 5) if last - first <= 4 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1, stride) for factor in factors]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) > 1 else _linear_ticks(low, high, 4, whole=False)[1]


def _label(value: float, step: float) -> str:
    decimals = next((places for places in range(10) if abs(round(step, places) - step) < 1e-9 * step), None)
    if decimals is None or abs(value) >= 1e6:
        return _compact(value)
    shown = f"{value:.{decimals}f}"
    return (shown.removeprefix("-") if float(shown) == 0 else shown).replace("-", "−")


def _compact(value: float) -> str:
    """Return `500`, `1.5k` or `2M`."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}".replace("-", "−")
    return f"{value:g}".replace("-", "−")
