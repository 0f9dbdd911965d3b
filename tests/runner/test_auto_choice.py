"""What `auto` chooses: networks by limits, and rows, rates, seeds and steps by a budget."""

import pytest

from benchmark.audit.starter_recipe import RIVALS, Rival
from benchmark.errors import BenchmarkError
from benchmark.inference.device_setup import prepare_machine
from benchmark.registry import Registry
from benchmark.runner.auto_choice import (
    ENOUGH_STEPS,
    Limits,
    MeasuredRival,
    fitting_effort,
    measure_rival,
    within_limits,
)

LIMITS = Limits((400, 300), "eager", milliseconds=50, weight_bytes=1_000_000)
COSTS = dict(zip(RIVALS, ((20.0, 100_000), (60.0, 100_000), (30.0, 2_000_000), *[(49.0, 999_999)] * 9), strict=False))
STEP_SECONDS = dict(zip(RIVALS, (0.05, 0.08, 0.15, 0.2), strict=False))


def measure(rival: Rival) -> MeasuredRival:
    milliseconds, weight_bytes = COSTS[rival]
    return MeasuredRival(rival, milliseconds, weight_bytes)


def test_networks_over_a_limit_are_left_out_and_named() -> None:
    """One is too slow, one too large; the others stay in their order, and every network has a line."""
    lines: list[str] = []
    assert within_limits(RIVALS, LIMITS, measure, lines.append) == (RIVALS[0], *RIVALS[3:])
    assert lines[0] == f"{RIVALS[0].name}: 20.0 ms, 0.10 MB"
    assert lines[1].endswith("left out: 60.0 ms of at most 50") and lines[2].endswith("2.00 MB of at most 1")


def test_a_late_start_takes_the_networks_tried_so_far() -> None:
    """But never none: it goes on until one keeps the limits."""
    lines: list[str] = []
    assert within_limits(RIVALS[1:], LIMITS, measure, lines.append, lambda: True) == (RIVALS[3],)
    assert lines[-1].startswith(f"not tried, to leave the budget for training: {RIVALS[4].name}")


def test_limits_that_none_keeps_are_an_error_that_says_what_to_do() -> None:
    """With an example of what was measured."""
    limits = Limits((400, 300), "eager", milliseconds=5)
    with pytest.raises(BenchmarkError, match=r"400 x 300 pixels .* 20.0 ms of at most 5; raise --limit-ms or"):
        within_limits(RIVALS, limits, measure, lambda line: None)


def test_without_limits_all_networks_stay() -> None:
    """Nothing is left out."""
    assert within_limits(RIVALS, Limits((8, 8), "eager"), measure, lambda line: None) == RIVALS


@pytest.mark.parametrize("seconds", [1.0, 30.0, 200.0, 1500.0, 20_000.0])
def test_all_trainings_together_fit_the_time(seconds: float) -> None:
    """Each rate of each row, and each further seed, takes the steps; the sum is at most the time."""
    effort = fitting_effort(STEP_SECONDS, seconds)
    trainings = len(effort.rates) + effort.seeds - 1
    assert sum(STEP_SECONDS[rival] for rival in effort.rivals) * trainings * effort.steps <= seconds
    assert effort.rivals == RIVALS[: len(effort.rivals)]


def test_more_time_buys_steps_first_then_rates_rows_and_seeds() -> None:
    """A short budget trains one network with one rate; a long one all of them with several."""
    efforts = [fitting_effort(STEP_SECONDS, seconds) for seconds in (20, 100, 600, 10_000)]
    assert [len(effort.rivals) * len(effort.rates) * effort.seeds for effort in efforts] == sorted(
        len(effort.rivals) * len(effort.rates) * effort.seeds for effort in efforts
    )
    assert (len(efforts[0].rivals), len(efforts[0].rates), efforts[0].seeds) == (1, 1, 1)
    assert all(effort.steps >= ENOUGH_STEPS for effort in efforts[1:])
    assert efforts[-1].rivals == RIVALS[:4] and efforts[-1].seeds == 2


def test_a_real_network_is_weighed_and_timed() -> None:
    """The first rival in torch, on a small image: bytes of its file, milliseconds of one call."""
    limits = Limits((32, 48), "eager")
    measured = measure_rival(RIVALS[0], "mask_blend", limits, prepare_machine("cpu", 1), Registry())
    assert 10_000 < measured.weight_bytes < 10_000_000 and 0 < measured.milliseconds < 10_000
    assert not measured.over(limits)
