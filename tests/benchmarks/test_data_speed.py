"""How fast patches come, from the cache and from PNG files, and how long training waits: `make bench`."""

import time
import timeit
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data import Pair, Source
from benchmark.data.augmentations.flip import Flip
from benchmark.data.augmentations.rotate90 import Rotate90
from benchmark.data.cache import cached
from benchmark.data.sampling import Sampler
from benchmark.data.sources.noise import Noise
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.experiment.stage import Stage
from benchmark.inference.device_setup import configure_process
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.batches import HostBatch, host_batches, to_device
from benchmark.training.objective import make_objective
from benchmark.training.train_state import make_optimizer

SIDE_PX, PATCH_PX, PAIRS, STEPS = 1024, 480, 6, 4
BATCH, FILE_ROUNDS = 8, 5


@pytest.fixture(scope="module", autouse=True)
def process() -> None:
    """As a training process: one thread, and freed memory stays, or every new patch would cost page faults."""
    configure_process(1, keep_memory=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of 1024 px, as in the contest: smooth pictures with fine grain, which PNG packs like photographs."""
    folder = tmp_path_factory.mktemp("large")
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    for index in range(PAIRS):
        rng = np.random.default_rng(index)
        waves = np.stack([np.sin(6 * (rows * a + columns * b)) for a, b in rng.uniform(0, 2, (3, 2))], -1)
        target = 128 + 60 * waves + rng.normal(0, 2, waves.shape)
        for name, image in (("target", target), ("degraded", target + rng.normal(0, 1, waves.shape))):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(np.uint8(np.clip(image, 0, 255))).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def from_files(folder: Path) -> Source:
    return PairedFolders(folder / "degraded", folder / "target")


@pytest.fixture(scope="module")
def from_cache(from_files: Source, tmp_path_factory: pytest.TempPathFactory) -> Source:
    return cached(from_files, tmp_path_factory.mktemp("cache"), 1)


def stage_1(source: Source) -> Sampler:
    """The patches of the reference's first stage."""
    return Sampler(source, 0, "coarse", PATCH_PX, [Flip(), Rotate90()])


@pytest.fixture(scope="module")
def batches_from_files_s(from_files: Source) -> float:
    """Median time of a batch that is decoded from PNG."""
    batches, positions = stage_1(from_files), count()
    return median(timeit.repeat(lambda: batch_at(batches, positions), number=1, repeat=FILE_ROUNDS))


def test_a_batch_of_stage_1(benchmark: Any, batches_from_files_s: float, from_cache: Source) -> None:
    """Eight patches of 480 px with flips and turns, from the memory map: to be 20 times as fast as from PNG."""
    batches, positions = stage_1(from_cache), count()
    patches = benchmark.pedantic(lambda: batch_at(batches, positions), rounds=40, warmup_rounds=5)
    benchmark.extra_info["png_over_cache"] = batches_from_files_s / benchmark.stats.stats.median
    benchmark.extra_info["patches_per_s"] = BATCH / benchmark.stats.stats.median
    assert [patch.degraded.shape for patch in patches] == BATCH * [(PATCH_PX, PATCH_PX, 3)]


def batch_at(sampler: Sampler, positions: Iterator[int]) -> list[Pair]:
    """The next patches of a batch."""
    return [sampler.patch_at(position) for position in islice(positions, BATCH)]


def test_a_synthetic_pair(benchmark: Any) -> None:
    """A face of 512 px drawn and damaged; what the cache saves from the second pass on."""
    source, indices = SyntheticFaces(count=100, size=512), count()
    pair = benchmark.pedantic(lambda: source.read(next(indices)), rounds=8, warmup_rounds=1)
    assert pair.target.shape == (512, 512, 3)


def test_building_a_cache(benchmark: Any, from_files: Source, tmp_path: Path) -> None:
    """Six pairs of 1024 px, decoded and written by one process."""
    roots = (tmp_path / str(index) for index in count())
    assert len(benchmark.pedantic(lambda: cached(from_files, next(roots), 1), rounds=3)) == PAIRS


def test_adding_noise(benchmark: Any, folder: Path) -> None:
    """A clean picture of 1024 px read and made noisy."""
    assert benchmark(Noise(folder / "target").read, 0).degraded.shape == (SIDE_PX, SIDE_PX, 3)


def test_waiting_for_data(benchmark: Any, from_cache: Source) -> None:
    """Share of a training step of the small gUNet that is spent waiting for its batch of one patch: `extra_info`.

    Without the first step, whose batch nothing can be done beside. It is to be under 3 %.
    """
    sizes = Registry().find("backbone", "gunet").sizes
    restorer = build({"backbone": {"name": "gunet", **sizes["small"]}, "head": {"name": "degradation"}}).train()
    settings = {"steps": STEPS, "batch": 1, "patch": PATCH_PX, "lr": 1e-4, "loss": {"l1": 1.0}}
    stage = Stage.model_validate(settings)
    optimizer = make_optimizer(list(restorer.parameters()), stage)
    objective = make_objective("coarse", stage, Registry())
    waited_s: list[float] = []

    def train() -> None:
        for host in timed(host_batches(stage_1(from_cache), range(1, STEPS + 1), stage.batch), waited_s):
            batch = to_device(host, torch.device("cpu"), torch.channels_last)
            loss, _ = objective(restorer(batch.degraded), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    started = time.perf_counter()
    benchmark.pedantic(train, rounds=1)
    training_s = time.perf_counter() - started - waited_s[0]
    benchmark.extra_info["waiting_percent"] = 100 * sum(waited_s[1:]) / training_s
    assert len(waited_s) == STEPS


def timed(batches: Iterator[HostBatch], waited_s: list[float]) -> Iterator[HostBatch]:
    """The same batches; notes how long each was waited for."""
    while True:
        started = time.perf_counter()
        try:
            batch = next(batches)
        except StopIteration:
            return
        waited_s.append(time.perf_counter() - started)
        yield batch
