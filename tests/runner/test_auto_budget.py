"""The budget of `auto`: what is cut where training takes longer than estimated."""

import time
from pathlib import Path

import pytest

from benchmark.audit.starter_recipe import RIVALS, Effort, Rival
from benchmark.interrupts import stopped_when
from benchmark.runner.auto_budget import Budget, Training, cut_to_trained, difference, shortened

EFFORT = Effort(RIVALS[:3], steps=800, rates=(1e-3, 3e-3, 8e-3), seeds=2)
FIRST, SECOND, _ = EFFORT.rivals


@pytest.mark.parametrize(
    ("trained", "rivals", "rates"),
    [
        ({(FIRST, 1e-3)}, (FIRST,), (1e-3,)),
        ({(FIRST, 1e-3), (FIRST, 8e-3), (SECOND, 8e-3)}, (FIRST,), (1e-3, 8e-3)),
        ({(FIRST, 8e-3), (SECOND, 8e-3)}, (FIRST, SECOND), (8e-3,)),
        ({(SECOND, 3e-3)}, (SECOND,), (3e-3,)),
    ],
)
def test_only_what_is_trained_is_kept(
    trained: set[Training], rivals: tuple[Rival, ...], rates: tuple[float, ...]
) -> None:
    """Networks that have the same rates, as many trainings as there are; without the further seeds."""
    cut = cut_to_trained(EFFORT, trained, all_seeds=False)
    assert cut and (cut.rivals, cut.rates, cut.seeds, cut.steps) == (rivals, rates, 1, 800)


def test_with_nothing_trained_nothing_can_be_kept_and_a_shorter_training_fits() -> None:
    """By the steps measured: 100 steps in 50 s leave room for 120 in 100 s, with time to spare."""
    assert cut_to_trained(EFFORT, set(), all_seeds=False) is None
    shorter = shortened(EFFORT, steps_made=100, seconds=50.0, left=100.0)
    assert shorter and (shorter.rivals, shorter.rates, shorter.seeds, shorter.steps) == ((FIRST,), (3e-3,), 1, 120)
    assert shortened(EFFORT, steps_made=0, seconds=50.0, left=100.0) is None


def test_what_was_cut_is_said() -> None:
    """In words that name what is left."""
    cut = Effort((FIRST,), steps=120, rates=(3e-3,), seeds=1)
    words = difference(EFFORT, cut)
    assert words == f"1 of 3 networks ({FIRST.name}), 1 of 3 learning rates (0.003), 1 of 2 seeds, 120 of 800 steps"
    assert difference(EFFORT, EFFORT) == ""


def test_time_for_the_end_is_reserved_as_it_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier command took; an ONNX file that takes more than its share is left to a command of its own."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    monkeypatch.setattr(Budget, "slowness", 1.0)  # of an idle machine
    budget = Budget(1000)
    budget.keep("finish", 100.0)
    budget.keep("onnx", 50.0)
    assert budget.for_training == pytest.approx(850, rel=0.1)
    budget.keep("onnx", 500.0)
    assert not budget.has_room_for_onnx and budget.for_training == pytest.approx(900, rel=0.1)


def test_what_is_due_is_stopped() -> None:
    """And only that: what ends before is not."""
    began = time.monotonic()
    with stopped_when(lambda: time.monotonic() - began > 0.1) as is_stopped:
        time.sleep(20)
    assert is_stopped()
    with stopped_when(lambda: False) as is_stopped:
        pass
    assert not is_stopped()


def test_an_interrupt_by_the_user_goes_on() -> None:
    """Ctrl-C before it is due ends the command."""
    with pytest.raises(KeyboardInterrupt), stopped_when(lambda: False):
        raise KeyboardInterrupt
