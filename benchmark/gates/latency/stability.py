"""What makes a latency doubtful."""

import statistics
from collections.abc import Iterator, Sequence

from benchmark.gates.latency.machine_load import Load
from benchmark.gates.latency.timing import WarmUp

MOST_WAITED = 0.03
"""An idle machine shows 1 % here; one other busy program on two cores 20 % and more."""
MOST_SPREAD = 0.10
MOST_DRIFT = 0.05


def waited_too_long(load: Load) -> bool:
    return load.waited_share is not None and load.waited_share > MOST_WAITED


def of_loads(loads: Sequence[Load]) -> Iterator[str]:
    """Other programs, more threads than cores (some runtimes add theirs to those of torch), heat, power."""
    worst = max(loads, key=lambda load: load.waited_share or 0.0)
    if waited_too_long(worst):
        waited = 100 * (worst.waited_share or 0.0)
        yield f"{waited:.0f} % of the time was spent waiting for a core (other programs, or threads of this one)"
    yield from sorted({load.throttled for load in loads if load.throttled})


def of_spreads(spreads: Sequence[float]) -> Iterator[str]:
    """How far the calls of one process lie apart."""
    typical = statistics.median(spreads)
    if typical > MOST_SPREAD:
        yield f"calls differ by {100 * typical:.0f} % (interquartile range; at most {100 * MOST_SPREAD:.0f} %)"


def of_warm_ups(warm_ups: Sequence[WarmUp]) -> Iterator[str]:
    """Times that never settled."""
    unsettled = [warm_up for warm_up in warm_ups if not warm_up.has_settled]
    if 2 * len(unsettled) > len(warm_ups):
        longest = max(warm_up.seconds for warm_up in unsettled)
        yield f"times had not settled after a warm-up of {longest:.0f} s"


def of_reference(medians: Sequence[float]) -> Iterator[str]:
    """The reference network, the same in every process, must take the same time in each."""
    middle = statistics.median(medians)
    drift = max(abs(median / middle - 1) for median in medians)
    if drift > MOST_DRIFT:
        yield f"the reference network drifted by {100 * drift:.0f} % (at most {100 * MOST_DRIFT:.0f} %)"
