"""Latencies: what one call, one process and several processes say, and when a machine is too busy to say anything."""

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import BenchmarkError
from benchmark.experiment.schema import LatencyGate
from benchmark.gates.check_gates import check_gates, decide_latency
from benchmark.gates.cost import macs
from benchmark.gates.latency import (
    Call,
    Conditions,
    Estimate,
    Latency,
    WarmUp,
    estimate_over_processes,
    quantiles,
    scaled,
    scaled_calls,
)
from benchmark.gates.latency_full import (
    Budget,
    MeasuringError,
    TimedModel,
    WorkerJob,
    interleave,
    measure_job,
    summarise_job,
)
from benchmark.gates.latency_quick import ModelTimer, quick_latency, quiet_reference_ms, warm_up
from benchmark.gates.latency_reference import REFERENCE_SIZE, make_reference
from benchmark.gates.latency_stability import Load, load_doubts, reference_doubts, spread_doubts, warm_up_doubts
from benchmark.inference.device_setup import Machine
from benchmark.inference.runtimes import runtime_names
from benchmark.model import Restorer, build
from benchmark.model.weight_files import write_weights
from benchmark.processes import usable_cores
from benchmark.registry import Registry
from reports.schema import Runtime

CPU = torch.device("cpu")
HERE = Machine(CPU, "Some CPU 9000", 1, "kept")
IMAGE = (16, 16)
BRIEF = Budget(processes=2, runs=60, seconds=0.5, warm_up_runs=5, least_warm_up_seconds=0.0, most_warm_up_seconds=0.5)


def model(**options: Any) -> dict[str, Any]:
    return {"backbone": {"name": "waiting", **options}, "head": {"name": "rgb"}}


def network(plugin: Path, **options: Any) -> Restorer:
    return build(model(**options), 0, Registry((plugin,)))


def subject(folder: Path, label: str, plugin: Path, **options: Any) -> TimedModel:
    weights = folder / f"{label}.safetensors"
    write_weights(network(plugin, **options), weights)
    return TimedModel(label, model(**options), weights, Conditions(IMAGE))


def latency(low: float, high: float, *unsteady: str, protocol: str = "full", p25: float | None = None) -> Latency:
    middle = Estimate(math.sqrt(low * high), low, high)
    names = {"p25": Estimate(p25 or low), "median": middle, "p90": middle, "p99": middle}
    return Latency(protocol, Conditions(IMAGE), names, names, 1.0, 5.0, 0.0, 300, 5, 0.01, 0.0, unsteady)


@given(st.lists(st.floats(0.1, 1e4), min_size=2, max_size=8))
def test_the_interval_over_processes_is_students(values: list[float]) -> None:
    """Of the logarithms: symmetric as a ratio around the geometric mean, and as wide as the textbook says for two."""
    found = estimate_over_processes(values)
    assert found.low is not None and found.high is not None
    assert found.low <= found.value * (1 + 1e-9) and found.value <= found.high * (1 + 1e-9)
    assert math.isclose(found.value, statistics.geometric_mean(values), rel_tol=1e-9)
    if len(values) == 2:  # t of one degree of freedom is 12.7062, and the deviation of two is their distance / sqrt 2
        reach = 12.7062 * abs(math.log(values[0] / values[1])) / 2
        assert math.isclose(math.log(found.high / found.value), reach, rel_tol=1e-4, abs_tol=1e-9)


def test_one_process_has_no_interval() -> None:
    """Quantiles of its calls, lowest to highest, and nothing about processes it did not see."""
    found = quantiles([[float(value) for value in range(1, 101)]])
    assert [round(found[name].value, 2) for name in ("p25", "median", "p90", "p99")] == [25.75, 50.5, 90.1, 99.01]
    assert all(estimate.low is None and estimate.high is None for estimate in found.values())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (latency(40, 49), "passed"),
        (latency(40, 50), "passed"),
        (latency(40, 51), "inconclusive"),
        (latency(51, 60), "failed"),
        (latency(40, 49, "busy"), "inconclusive"),
        (latency(51, 60, "busy"), "inconclusive"),
        (latency(24, 24.9, protocol="quick"), "passed"),
        (latency(24, 24.9, "busy", protocol="quick"), "passed"),
        (latency(25, 49, protocol="quick"), "inconclusive"),
        (latency(51, 60, protocol="quick"), "failed"),
        (latency(51, 60, protocol="quick", p25=49), "inconclusive"),
        (latency(51, 60, "busy", protocol="quick"), "inconclusive"),
    ],
)
def test_only_a_clear_interval_on_a_steady_machine_decides(found: Latency, expected: str) -> None:
    """The limit is 50 ms. Load decides nothing, but cannot hide that a network is below half of it."""
    assert decide_latency(found, LatencyGate(limit_ms=50, image=IMAGE)) == expected


def test_a_warm_up_ends_when_the_times_have_settled() -> None:
    """Calls that get faster are waited for; the last twenty must agree in their halves."""
    times, made = iter([100 / (1 + number) for number in range(15)] + [5.0] * 1000), list[float]()

    def call() -> Call:
        made.append(next(times))
        return Call(made[-1], 1.0, 1.0)

    found = warm_up(call, least_runs=5, least_seconds=0.0, most_seconds=60.0)
    assert found.has_settled and 30 <= len(made) <= 40


def test_a_warm_up_that_never_settles_ends_and_says_so() -> None:
    """Times that grow for ever are cut off, and the measurement is called unsteady."""
    times = iter([1.1**number for number in range(5_000)])

    def call() -> Call:
        time.sleep(0.001)
        return Call(next(times), 1.0, 1.0)

    found = warm_up(call, least_runs=3, least_seconds=0.0, most_seconds=0.05)
    assert not found.has_settled
    assert "not settled" in next(warm_up_doubts([found]))
    assert not list(warm_up_doubts([found, WarmUp(1.0, True)]))


def test_what_makes_numbers_doubtful() -> None:
    """Waiting for cores, throttling, calls far apart, a reference that drifts: each in words, at its threshold."""
    assert not list(load_doubts([Load(0.029, None), Load(None, None)]))
    busy, throttled = load_doubts([Load(0.0, None), Load(0.2, "processors throttled 3 times")])
    assert "20 %" in busy and throttled == "processors throttled 3 times"
    assert not list(spread_doubts([0.09, 0.5, 0.09])) and list(spread_doubts([0.11]))
    assert not list(reference_doubts([100, 104])) and "9 %" in next(reference_doubts([100, 100, 109]))


def test_drift_affects_interleaved_networks_equally() -> None:
    """Blocks come in ABBA order; the first call of a block, after a change of network, is not counted.

    A machine that gets slower with every call adds as much to one network as to the other, but for one block.
    """
    order: list[str] = []

    def timer(label: str) -> ModelTimer:
        def call() -> Call:
            order.append(label)
            return Call(200.0 + len(order), 200.0, 200.0)

        return ModelTimer(call, 1.0, 0.0)

    first, second = timer("A"), timer("B")
    interleave([first, second], Budget(runs=8, seconds=100.0))
    blocks = [label for label, before in zip(order, [None, *order], strict=False) if label != before]
    assert blocks == ["A", "B", "A", "B", "A"]  # neighbouring blocks of one network are one here: A BB AA BB A
    assert len(first.calls) == len(second.calls) == 8
    drift = [statistics.fmean(call.image_ms for call in model.calls) for model in (first, second)]
    assert drift[0] == pytest.approx(drift[1])


def test_a_network_that_has_its_budget_is_not_called_again() -> None:
    """A slow one stops after its seconds, but not before it had two blocks."""

    def timer(milliseconds: float) -> ModelTimer:
        return ModelTimer(lambda: Call(milliseconds, milliseconds, milliseconds), 1.0, 0.0)

    slow, fast = timer(1000.0), timer(100.0)
    interleave([slow, fast], Budget(runs=20, seconds=1.5))
    assert len(slow.calls) == 4 and 15 <= len(fast.calls) < 25


def test_quick_shows_a_network_that_sleeps_now_and_then(waiting: Path) -> None:
    """Every 20th call takes 30 ms more: seen at p99, not at the median."""
    found = quick_latency(network(waiting, milliseconds=30.0, every=20), Conditions(IMAGE), CPU, seconds=1.0)
    assert found.image_ms["p99"].value >= 30 > found.image_ms["median"].value
    assert found.network_ms["p99"].value >= 30


def test_quick_hides_the_first_call_and_tells_it_apart(waiting: Path) -> None:
    """A network slow on its first call alone: warm-up hides it, cold start has it."""
    found = quick_latency(network(waiting, milliseconds=80.0, only_first=True), Conditions(IMAGE), CPU)
    assert found.cold_start_ms is not None and found.cold_start_ms >= 80 > found.image_ms["p99"].value


def test_quick_leaves_the_network_as_it_was(waiting: Path) -> None:
    """Mode and weights; quantiles are in order; threads are those asked for inside and the old ones after."""
    net = network(waiting).train()
    before, threads = {key: value.clone() for key, value in net.state_dict().items()}, torch.get_num_threads()
    found = quick_latency(net, Conditions((32, 48), threads=1), CPU, seconds=0.1)
    assert net.training and all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.get_num_threads() == threads
    assert found.runs >= 5 and found.processes == 1
    assert np.all(np.diff([found.image_ms[name].value for name in ("p25", "median", "p90", "p99")]) >= 0)


def test_calls_are_scaled_by_the_reference_network_beside_them() -> None:
    """A machine that is half as fast for a while, or all the time, gives the times of one that is not."""
    quiet = [Call(10.0, 8.0, 8.0)] * 3
    assert scaled_calls(quiet, [5.0] * 4, quiet_ms=5.0) == tuple(quiet)
    busy = [Call(10.0, 8.0, 8.0), Call(15.0, 12.0, 12.0), Call(20.0, 16.0, 16.0)]
    assert scaled_calls(busy, [5.0, 5.0, 10.0, 10.0], quiet_ms=5.0) == tuple(quiet)
    measured = replace(latency(16.0, 25.0), reference_ms=10.0)
    assert scaled(measured, quiet_ms=5.0).image_ms["p90"] == Estimate(10.0, 8.0, 12.5)


def test_a_search_measures_relative_to_the_reference_network(waiting: Path) -> None:
    """Twice the quiet time makes twice the latency; the record says what it was scaled to, and what was measured."""
    gate, options = LatencyGate(limit_ms=1000, image=IMAGE, quantile="median"), {"milliseconds": 20.0}
    net = network(waiting, **options)
    (plain,) = check_gates({"latency": gate}, net, model(**options), HERE)
    (result,) = check_gates({"latency": gate}, net, model(**options), HERE, quiet_ms=1000.0)
    reference_ms = result.protocol["reference_ms"]
    assert plain.protocol["reference_ms"] is None and "scaled_to_reference_ms" not in plain.protocol
    assert reference_ms > 0 and result.protocol["scaled_to_reference_ms"] == 1000.0
    assert result.measured is not None and result.measured > 20.0 * 1000.0 / reference_ms / 5


def test_the_quiet_time_of_the_reference_network_is_that_of_its_fast_calls() -> None:
    """Another program makes some calls slower, never faster."""
    quiet_ms = quiet_reference_ms(CPU, seconds=0.2)
    reference = quick_latency(make_reference(), Conditions(REFERENCE_SIZE, folded=False), CPU, seconds=0.4)
    assert 0 < quiet_ms < 2 * reference.image_ms["median"].value


def test_too_slow_for_a_quick_look(waiting: Path) -> None:
    """A network slower than the caller waits for is told after its second call."""
    with pytest.raises(BenchmarkError, match=r"one image takes 0\.1 s; over 0\.05 s"):
        quick_latency(network(waiting, milliseconds=100.0), Conditions(IMAGE), CPU, most_ms=50)


def test_tiles_are_counted(waiting: Path) -> None:
    """An image in four tiles takes four calls of the network, and the result says how many tiles there were."""
    gate = LatencyGate(limit_ms=1, image=(32, 32), tile=16, overlap=0)
    options = {"milliseconds": 5.0}
    (result,) = check_gates({"tiled": gate}, network(waiting, **options), model(**options), HERE)
    assert result.protocol["tiles"] == 4
    assert result.measured is not None and result.measured >= 20 and result.protocol["net_median_ms"] >= 20
    assert (result.protocol["tile"], result.protocol["overlap"]) == (16, 0)


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Every core has two other processes that never rest."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(2 * usable_cores())]
    time.sleep(0.3)
    yield
    for other in others:
        other.kill()
        other.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how long a process waited for a core")
def test_a_busy_machine_makes_no_verdict(busy_machine: None) -> None:
    """A network far over the limit is inconclusive there, and the reason is in the result."""
    net = {"backbone": {"name": "nafnet", "width": 8, "depths": (1, 1, 1)}, "head": {"name": "rgb"}}
    gate = LatencyGate(limit_ms=0.001, image=(256, 256))
    (result,) = check_gates({"latency": gate}, build(net), net, HERE)
    assert result.result == "inconclusive"
    assert "waiting for a core" in result.protocol["unsteady"][0]


def test_every_runtime_of_the_gates_exists() -> None:
    """The names an experiment may write are those that can be prepared."""
    assert set(Runtime.__args__) == {*runtime_names("cpu"), *runtime_names("cuda")}


@pytest.mark.slow
def test_the_best_runtime_is_named(waiting: Path) -> None:
    """`best` tries what is installed, takes the fastest, and says what the others took."""
    gate = LatencyGate(limit_ms=1e9, image=IMAGE, runtime="best")
    net = {"backbone": {"name": "nafnet", "width": 2, "depths": (1, 1, 1)}, "head": {"name": "rgb"}}
    (result,) = check_gates({"latency": gate}, build(net), net, HERE)
    tried = result.protocol["runtimes_median_ms"]
    assert {"eager", "channels_last"} <= set(tried)
    assert result.protocol["runtime"] == min(tried, key=tried.__getitem__)


def test_a_runtime_of_another_device_is_not_measured(waiting: Path) -> None:
    """CUDA graphs on a CPU: no number, and the reason."""
    gate = LatencyGate(limit_ms=1e9, image=IMAGE, runtime="cuda_graph")
    (result,) = check_gates({"latency": gate}, network(waiting), model(), HERE)
    assert (result.result, result.measured) == ("not_measured", None) and result.protocol["reason"]


@pytest.mark.slow
def test_the_full_protocol_in_fresh_processes(waiting: Path, tmp_path: Path) -> None:
    """A sleeper shows at p99, a slow start in cold start alone, the reference stands beside them, intervals exist."""
    subjects = [
        subject(tmp_path, "sleeper", waiting, milliseconds=30.0, every=20),
        subject(tmp_path, "starter", waiting, milliseconds=80.0, only_first=True),
    ]
    job = WorkerJob(subjects, HERE, (waiting,), BRIEF)
    sleeper, starter = summarise_job(job, list(measure_job(job)))
    assert sleeper.image_ms["p99"].value >= 30 > sleeper.image_ms["median"].value
    assert starter.cold_start_ms is not None and starter.cold_start_ms >= 80 > starter.image_ms["p99"].value
    for found in (sleeper, starter):
        middle = found.image_ms["median"]
        assert middle.low is not None and middle.high is not None and middle.low <= middle.value <= middle.high
        assert found.processes == 2 and found.runs >= 120 and found.reference_ms is not None
        assert found.protocol == "full"


@pytest.mark.slow
def test_the_full_protocol_can_fail_a_gate_and_says_the_interval(waiting: Path) -> None:
    """A network that sleeps 20 ms does not keep 10 ms, unless the machine was too busy to tell."""
    options = {"milliseconds": 20.0}
    gate = LatencyGate(limit_ms=10, image=IMAGE, protocol="full", quantile="median")
    (result,) = check_gates({"latency": gate}, network(waiting, **options), model(**options), HERE, (waiting,))
    assert result.result == ("inconclusive" if result.protocol["unsteady"] else "failed")
    assert result.interval is not None and result.interval[0] >= 20 and result.protocol["processes"] == 5


@pytest.mark.slow
def test_a_measuring_process_that_cannot_build_its_network_says_why(waiting: Path, tmp_path: Path) -> None:
    """Without the plugin the fresh process does not know the backbone: one line, no hang."""
    job = WorkerJob([subject(tmp_path, "net", waiting)], HERE, (), BRIEF)
    with pytest.raises(MeasuringError, match="waiting"):
        list(measure_job(job))


@pytest.mark.slow
def test_a_measuring_process_that_dies_is_told(waiting: Path, tmp_path: Path) -> None:
    """The exit code is in the message."""
    deadly = waiting.with_name("deadly.py")
    text = waiting.read_text().replace("class Waiting", "class Deadly").replace("import time", "import os\nimport time")
    deadly.write_text(text.replace("self.calls += 1", "os._exit(7)"))
    one = subject(tmp_path, "net", waiting)
    job = WorkerJob([replace(one, model={**one.model, "backbone": {"name": "deadly"}})], HERE, (deadly,), BRIEF)
    with pytest.raises(MeasuringError, match="exit code 7"):
        list(measure_job(job))


def test_the_reference_is_small() -> None:
    """Half a billion multiply-adds, so that it takes little time beside the networks."""
    assert macs(make_reference(), REFERENCE_SIZE) == 256 * 256 * 9 * (3 * 16 + 3 * 16 * 16 + 16 * 3)
