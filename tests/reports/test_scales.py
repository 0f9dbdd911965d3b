"""Scales of figures: ticks, labels, widths."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from reports.figures.scales import Scale, is_wide, shortened, spanning, text_width


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 8), st.booleans())
def test_ticks_are_round_numbers_inside_the_scale(low: float, span: float, most: int, whole: bool) -> None:
    """At least two where they need not be whole, at most as many as may be, in order, with labels that differ."""
    scale = Scale(low, low + span, 40.0, 700.0)
    ticks = scale.ticks(most, whole=whole)
    assert len(ticks) <= most + 2 and all(39.9 <= tick.at <= 700.1 for tick in ticks)
    if span > 1e-5 * abs(low):
        assert len({tick.label for tick in ticks}) == len(ticks)
    assert whole or len(ticks) >= 2


@given(st.floats(1e-4, 1e4), st.floats(1.5, 1e8))
def test_a_logarithmic_scale_has_ticks_of_any_span(low: float, factor: float) -> None:
    """In order, inside, never crowded."""
    ticks = Scale(low, low * factor, 40.0, 700.0, is_log=True).ticks()
    places = [tick.at for tick in ticks]
    assert 2 <= len(ticks) <= 16 and places == sorted(places) and places[0] >= 39.9 and places[-1] <= 700.1


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=6))
def test_any_values_have_a_scale(values: list[float]) -> None:
    """Equal ones, none, and those that are no numbers; finite values lie on it."""
    scale = spanning(values, 0.0, 100.0)
    assert scale.low < scale.high
    assert all(0 <= scale.position(value) <= 100 for value in values if abs(value) < float("inf"))


def test_only_positive_values_of_different_size_need_a_logarithm() -> None:
    """A latency of 0 ms has none."""
    assert is_wide([1, 30]) and not is_wide([1, 15]) and not is_wide([0, 30]) and not is_wide([])


@given(st.text(max_size=60), st.floats(20, 300))
def test_a_long_name_is_shortened_to_its_place(name: str, most: float) -> None:
    """A name that fits stays as it is."""
    short = shortened(name, most)
    assert short == name if text_width(name) <= most else short.endswith("…") and len(short) <= len(name) + 1
    assert text_width(short) <= most + 13


def test_a_page_is_made_without_matplotlib() -> None:
    """It takes over a second to import and was a third of the time of a page."""
    code = "import sys, reports.pages.run_page, reports.pages.search_page, reports.pages.audit_page;"
    subprocess.run([sys.executable, "-c", f"{code} sys.exit('matplotlib' in sys.modules)"], check=True)
