"""One stage in several processes: the same batches, losses and weights as in one; real processes, over gloo."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from benchmark.experiment.stage import Stage
from benchmark.training.distributed import ALONE, Ranks

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / "tests/training/rank_driver.py"
Results = dict[str, dict[str, Any]]
Train = Callable[..., Results]


@pytest.fixture(scope="session")
def driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rank_driver", DRIVER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def train_alone(driver: ModuleType, pairs: Path) -> Train:
    """Train cases in this process: name -> steps."""
    return lambda **cases: {name: driver.train_case(name, pairs, steps, ALONE) for name, steps in cases.items()}


@pytest.fixture
def train_together(pairs: Path, tmp_path: Path) -> Train:
    """Train cases in `count` processes, which check that they end with the same weights."""

    def train(count: int, **cases: int) -> Results:
        folder = tmp_path / f"ranks{count}"
        folder.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        named = [str(item) for case in cases.items() for item in case]
        commands = [[sys.executable, DRIVER, pairs, folder, str(rank), str(count), *named] for rank in range(count)]
        ranks = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for command in commands]
        for rank in ranks:
            _, errors = rank.communicate(timeout=500)
            assert rank.returncode == 0, errors
        return {name: torch.load(folder / f"{name}.pt") for name in cases}

    return train


def largest_difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[key].double() - second[key].double()).abs().max()) for key in first)


def assert_equal_gradients(first: dict[str, Any], second: dict[str, Any]) -> None:
    """In float32, relative to the largest number of each gradient; a weight that has none in one has none in both."""
    for one_process, ranks in zip(first["gradients"], second["gradients"], strict=True):
        assert (one_process is None) == (ranks is None)
        if ranks is not None:
            assert torch.allclose(one_process, ranks, rtol=1e-5, atol=1e-5 * float(one_process.abs().max()))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_ranks_share_every_batch(count: int, parts: int) -> None:
    """Each position of the stream once; of each part that is accumulated, all ranks have the same number."""
    shares = [Ranks(rank, count).positions(step=3, batch=12, parts=parts) for rank in range(count)]
    assert sorted(position for share in shares for position in share) == list(range(24, 36))
    size = 12 // (parts * count)
    for part in range(parts):
        images = [position for share in shares for position in share[part * size : (part + 1) * size]]
        assert images == list(range(24 + part * 12 // parts, 24 + (part + 1) * 12 // parts))


def test_a_batch_that_ranks_cannot_share_is_an_error_of_the_file() -> None:
    """With what it must be a multiple of; one device is not written, so earlier keys stay."""
    settings = {"steps": 1, "patch": 16, "lr": 1.0, "loss": {"l1": 1.0}}
    with pytest.raises(ValidationError, match="devices_per_stage = 3; make it a multiple of 6"):
        Stage.model_validate({**settings, "batch": 8, "accumulate": 2, "devices_per_stage": 3})
    assert "devices_per_stage" not in Stage.model_validate(settings).model_dump(mode="json")
    assert Stage.model_validate({**settings, "devices_per_stage": 2}).model_dump()["devices_per_stage"] == 2


@pytest.mark.slow
def test_two_processes_train_as_one_does(train_alone: Train, train_together: Train) -> None:
    """Weights in float64 and losses with BatchNorm after some steps; gradients of the first step in float32."""
    cases = {"double": 5, "float": 1, "pooled": 1, "batch_norm": 5}
    expected, results = train_alone(**cases), train_together(2, **cases)
    assert largest_difference(expected["double"]["weights"], results["double"]["weights"]) < 1e-11
    assert results["batch_norm"]["losses"] == pytest.approx(expected["batch_norm"]["losses"], rel=1e-6)
    for name in ("float", "pooled"):
        assert results[name]["losses"] == pytest.approx(expected[name]["losses"], rel=1e-6)
        assert results[name]["parts"][0] == pytest.approx(expected[name]["parts"][0], rel=1e-5)
        assert_equal_gradients(expected[name], results[name])


@pytest.mark.slow
def test_two_and_three_processes_train_as_one_does(train_alone: Train, train_together: Train) -> None:
    """Over 200 steps with a batch of 12: weights in float64, accumulated or not, and losses with BatchNorm."""
    cases = {"double": 200, "double_accumulated": 200, "batch_norm": 200, "float": 1, "pooled": 1}
    expected = train_alone(**cases)
    assert expected["double"]["losses"][-1] < 0.9 * expected["double"]["losses"][0]
    for count in (2, 3):
        results = train_together(count, **cases)
        for name in ("double", "double_accumulated"):
            difference = largest_difference(expected[name]["weights"], results[name]["weights"])
            print(f"{name}, {count} processes: weights differ by {difference:.1e}")
            assert difference < 1e-8
        losses = torch.tensor([expected["batch_norm"]["losses"], results["batch_norm"]["losses"]]).double()
        difference = float((losses[0] - losses[1]).abs().max())
        print(f"batch_norm, {count} processes: losses up to {float(losses.max()):.2f} differ by {difference:.1e}")
        assert len(losses[0]) == 200 and difference < 1e-6
        for name in ("float", "pooled"):
            assert results[name]["losses"] == pytest.approx(expected[name]["losses"], rel=1e-6)
            assert_equal_gradients(expected[name], results[name])


@pytest.mark.slow
def test_a_step_that_is_not_finite_in_one_rank_is_skipped_in_all(train_together: Train) -> None:
    """And training goes on with finite losses."""
    result = train_together(2, spoiled=10)["spoiled"]
    assert result["skipped"] == (4,)
    assert all(torch.isfinite(value).all() for value in result["weights"].values())
