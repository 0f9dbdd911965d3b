"""What is counted of a network is counted once."""

from pathlib import Path

import pytest

from benchmark.experiment.schema import Component, ResolvedModel
from benchmark.registry import Registry
from benchmark.runner.count_cache import kept

MODEL = ResolvedModel(backbone=Component(name="dncnn"), head=Component(name="rgb"))


def test_a_count_is_kept_by_network_and_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another network or question is counted anew; a failure is not kept, and a damaged file is not believed."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    registry, numbers = Registry(), iter(range(10))

    def count() -> int:
        return next(numbers)

    assert [kept(["macs"], MODEL, registry, count) for _ in range(2)] == [0, 0]
    assert kept(["bytes"], MODEL, registry, count) == 1
    other = MODEL.model_copy(update={"head": Component(name="residual")})
    assert kept(["macs"], other, registry, count) == 2

    def fail() -> int:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        kept(["gates"], MODEL, registry, fail)
    assert kept(["gates"], MODEL, registry, count) == 3
    for file in (tmp_path / "counts").iterdir():
        file.write_text("{")
    assert kept(["gates"], MODEL, registry, count) == 4
    for file in (tmp_path / "counts").iterdir():
        file.write_text(file.read_text().replace('"value": 4', '"value": 9'))
    assert kept(["gates"], MODEL, registry, count) == 5
