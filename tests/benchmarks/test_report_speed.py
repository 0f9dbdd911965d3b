"""How fast a large report is written: `make bench`, for comparing two states of the code."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from reports import write

ROWS, SEEDS, IMAGES, STEPS = 30, 5, 100, 500
MOST_BYTES = 4_000_000
METRICS = ("psnr", "psnr_spots", "psnr_background", "harm", "score", "ssim", "ms_ssim", "fixed_share", "texture")


def test_a_report_of_thirty_rows_five_seeds_and_a_hundred_images(benchmark: Any, tmp_path: Path) -> None:
    """From records to pages, tables and figures; it should stay below 10 s on two idle cores, the page below 4 MB."""
    run = _write_run(tmp_path, ROWS, SEEDS, IMAGES)
    report = benchmark.pedantic(write, args=(run,), rounds=2)
    benchmark.extra_info["page_megabytes"] = report.page.stat().st_size / 1e6
    _check(report.page, ROWS)


def test_the_run_that_is_timed_has_a_report(tmp_path: Path) -> None:
    """The same run in small: its records are of the form that reports read today."""
    _check(write(_write_run(tmp_path, 3, 2, 4)).page, 3)


def _check(page: Path, rows: int) -> None:
    """Check that no row is missing from the page: each has a figure of its losses, and the page is small."""
    assert len(list(page.parent.glob("figures/loss_*.svg"))) == rows
    assert page.stat().st_size < MOST_BYTES


def _write_run(folder: Path, rows: int, seeds: int, images: int) -> Path:
    """Write a finished run of made-up scores, and return its folder."""
    names = ["base", *(f"table{row % 3}.row{row}" for row in range(1, rows))]
    folder.joinpath("plan.json").write_text(json.dumps(_plan(names, seeds)))
    rng = np.random.default_rng(0)
    for name in names:
        for seed in range(seeds):
            _write_row(folder / name / f"seed{seed}", name, seed, images, rng)
    return folder


def _plan(names: list[str], seeds: int) -> dict[str, Any]:
    rows = [
        {"row": name, "table": name.split(".")[0] if "." in name else None, "kind": "trained", "seeds": [*range(seeds)]}
        for name in names
    ]
    return {
        "schema": 2,
        "experiment": "large",
        "primary": "psnr",
        "equivalence_margin": 0.1,
        "seeds": [*range(seeds)],
        "rows": rows,
    }


def _write_row(folder: Path, name: str, seed: int, count: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    values = rng.normal(30.0, 1.0, (count, len(METRICS)))
    images = [("test", f"face_{image:03d}") for image in range(count)]
    lines = [(*images[i], metric, values[i, m]) for i in range(count) for m, metric in enumerate(METRICS)]
    _csv(folder / "scores.csv", ("split", "image", "metric", "value"), lines)
    curve = [(stage, step, "loss", rng.normal()) for stage in ("coarse", "psnr") for step in range(1, STEPS + 1)]
    _csv(folder / "curve.csv", ("stage", "step", "name", "value"), curve)
    scores = {metric: {"mean": values[:, m].mean(), "std": 1.0, "n": count} for m, metric in enumerate(METRICS)}
    (folder / "record.json").write_text(json.dumps(_record(name, seed, scores)))


def _record(name: str, seed: int, scores: dict[str, Any]) -> dict[str, Any]:
    stages = [
        {"name": stage, "key": f"{stage}-{name}-{seed}", "reused": False, "steps": STEPS, "val": {"psnr": 30.0 + place}}
        for place, stage in enumerate(("coarse", "psnr"))
    ]
    latency = {
        "name": "latency", "quantity": "latency", "measured": 20.0 + len(name), "limit": 50, "unit": "ms",
        "result": "passed", "protocol": {},
    }  # fmt: skip
    model = {"params": 70_000, "macs": 10**8, "macs_shape": [1, 3, 256, 256], "weight_bytes": {"float32": 280_000}}
    return {
        "schema": 2, "experiment": "large", "config": {}, "config_hash": "", "row": name,
        "tables": [name.split(".")[0]] if "." in name else [], "seed": seed, "status": "done",
        "model": model, "gates": [latency], "stages": stages, "scores": {"test": scores}, "provenance": {},
    }  # fmt: skip


def _csv(file: Path, header: tuple[str, ...], lines: list[tuple[Any, ...]]) -> None:
    with file.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *lines])
