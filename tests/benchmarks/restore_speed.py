"""Images a second of `restore`, as a ratio to a plain loop that reads, restores and writes one file after the other:

    OMP_NUM_THREADS=1 python tests/benchmarks/restore_speed.py runs/quickstart/base 100 3

100 files of mixed sizes and formats are made in a temporary folder. Both sides have the same network, folded, in
torch, and write the same formats with the same settings of the encoders; PNG and TIFF files have equal pixels, within
rounding. The loop neither keeps metadata nor makes sure that files are on the disk. It has one thread for Python, and
those of torch; `restore` has all cores. Prints for each round, A B B A, the ratio of the times of loop and `restore`.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from benchmark.inference.device_setup import Machine

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

SIDES = (192, 256, 320, 384)
SUFFIXES = (".png", ".jpg", ".webp", ".tif")
OPTIONS: dict[str, dict[str, Any]] = {".png": {"compress_level": 3}, ".webp": {"quality": 95}}
"""What `restore` writes with; the JPEG files are of Pillow's default quality, and stay so."""


def main(row: str, count: int, rounds: int) -> None:
    from benchmark.inference.device_setup import prepare_machine

    machine = prepare_machine("cpu")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photos"
        make_files(source, count)
        plain, suite = loops(row, machine, source, Path(folder))
        for loop in (plain, suite):
            loop()
        for file in (Path(folder) / "plain").iterdir():
            if file.suffix in (".png", ".tif"):
                results = [
                    np.int16(np.array(Image.open(Path(folder) / side / file.name))) for side in ("plain", "suite")
                ]
                assert np.abs(results[0] - results[1]).max() <= 1, file.name
        print(json.dumps({"images": count, "ratios": [one_round(plain, suite) for _ in range(rounds)]}))


def make_files(folder: Path, count: int) -> None:
    """Smooth pictures with fine grain, of sixteen combinations of sides and formats."""
    folder.mkdir()
    for index in range(count):
        rng = np.random.default_rng(index)
        height, width = SIDES[index % 4], SIDES[index // 4 % 4]
        coarse = Image.fromarray(rng.integers(40, 216, (8, 8, 3), np.uint8)).resize((width, height))
        grain = rng.normal(0, 3, (height, width, 3))
        levels = np.uint8(np.clip(np.asarray(coarse) + grain, 0, 255))
        Image.fromarray(levels).save(folder / f"{index:03d}{SUFFIXES[index // 16 % 4]}")


def one_round(plain: Callable[[], None], suite: Callable[[], None]) -> float:
    first, second, third, last = (seconds(loop) for loop in (plain, suite, suite, plain))
    return round((first + last) / (second + third), 3)


def loops(row: str, machine: "Machine", source: Path, folder: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    from benchmark.inference.restore_images import RestoreSettings, restore_files
    from benchmark.inference.restore_network import NetworkUse
    from benchmark.inference.restore_tasks import tasks_of
    from benchmark.inference.restore_workers import restore_workers
    from benchmark.model import load
    from benchmark.model.restorer import fold
    from benchmark.processes import usable_cores

    restorer = fold(load(row))
    images = len(list(source.iterdir()))
    networks = restore_workers(restorer, machine, NetworkUse(), images, usable_cores(), lambda note: None)
    (folder / "plain").mkdir()

    @torch.inference_mode()
    def plain() -> None:
        for file in sorted(source.iterdir()):
            image = np.array(Image.open(file).convert("RGB"))
            degraded = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            restored = restorer(degraded).image.clamp(0, 1).mul(255).round().byte()
            picture = Image.fromarray(restored[0].permute(1, 2, 0).numpy())
            picture.save(folder / "plain" / file.name, **OPTIONS.get(file.suffix, {}))

    def suite() -> None:
        tasks = tasks_of([str(source)], str(folder / "suite"), None).tasks
        shutil.rmtree(folder / "suite", ignore_errors=True)
        outcomes = list(restore_files(networks, tasks, RestoreSettings()))
        assert all(outcome.result == "restored" for outcome in outcomes)

    return plain, suite


def seconds(loop: Callable[[], None]) -> float:
    started = time.perf_counter()
    loop()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
