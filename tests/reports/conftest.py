"""Makes run folders as the harness writes them: made-up but seeded numbers, small real images."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reports import write

Run = Callable[..., Path]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
METRICS = {
    "psnr": 34.0,
    "psnr_spots": 28.0,
    "psnr_background": 36.0,
    "harm": 0.4,
    "score": 0.66,
    "ssim": 0.95,
    "ms_ssim": 0.98,
    "fixed_share": 0.6,
    "texture": 0.9,
}
"""Metric -> level around which its made-up values lie."""
SCALE = {"psnr": 1.0, "psnr_spots": 1.5, "psnr_background": 1.0, "harm": 0.1}
ROWS: dict[str, str | None] = {"base": None, "heads.direct_rgb": "heads", "heads.residual": "heads"}
STAGES = (("coarse", 150), ("psnr", 100))
HOSTILE = "<script>alert('x')</script>|`$a$"
BIBTEX = "@article{gunet,\n  title = {A {gUNet} paper},\n  url = {https://example.org/paper}\n}"


@pytest.fixture(scope="session")
def _masters(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A function that returns the folder of a run with some name and options, written once; only to be copied."""
    folders: dict[str, Path] = {}

    def master(name: str, options: Mapping[str, Any]) -> Path:
        key = repr((name, sorted(options.items())))
        if key not in folders:
            folders[key] = write_run(tmp_path_factory.mktemp("master") / name, **options)
        return folders[key]

    return master


@pytest.fixture
def make_run(tmp_path: Path, _masters: Run) -> Run:
    """A function that makes a run folder and returns it; its options are those of `write_run`."""

    def make(name: str = "quickstart", **options: Any) -> Path:
        return Path(shutil.copytree(_masters(name, options), tmp_path / name))

    return make


@pytest.fixture(scope="session")
def run_writer() -> Run:
    """The function that writes a run folder, for fixtures that outlive a test."""
    return write_run


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report folder of an ordinary run; for reading only."""
    return write(write_run(tmp_path_factory.mktemp("written") / "quickstart")).page.parent


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report folder of a run whose names try to be HTML, Markdown and formulas; for reading only."""
    run = tmp_path_factory.mktemp("hostile") / "quickstart"
    rows = {"base": None, "heads.<img src=x>": "<b>heads", "=1+1|`x` $x_1$ 漢字 \x01": "<b>heads"}
    write_run(run, rows=rows, images=("ok", "<u>x"))
    _edit(run / "plan.json", experiment=HOSTILE, command=f"python -m benchmark run '{HOSTILE}'")
    failed = {"message": f"loss is nan {HOSTILE}\nsecond line"}
    _edit(run / "heads.<img src=x>" / "seed1" / "record.json", status="failed", error=failed, scores={})
    return write(run).page.parent


@pytest.fixture(scope="session")
def edit() -> Callable[..., dict[str, Any]]:
    """A function that changes top-level entries of a JSON file."""
    return _edit


@pytest.fixture(scope="module")
def browser():
    """Chromium, as the system has it."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: no report is seen in a browser"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium): no report is seen in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """A function that opens a page; what it asked of the outside, and its complaints, must be nothing at the end."""
    contexts, faults = [], []

    def note(request):
        if not request.url.startswith(("file:", "data:")):
            faults.append(request.url)

    def open_page(path, width=1280, scheme="light", **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options))
        contexts[-1].set_default_timeout(8000)
        page = contexts[-1].new_page()
        page.on("request", note)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def write_run(
    run: Path,
    rows: Mapping[str, str | None] = ROWS,
    seeds: Sequence[int] = (0, 1),
    floors: Sequence[str] = ("identity",),
    images: Sequence[str] = ("a", "b", "c", "d"),
    offsets: Mapping[str, float] | None = None,
    primary: str = "psnr",
    size: tuple[int, int] = (72, 96),
) -> Path:
    """A finished run: `rows` is row -> table, `offsets` is row -> how far its metrics lie above the others'."""
    rng = np.random.default_rng(7)
    offsets = offsets or {}
    plan = [_plan_row(row, table, seeds) for row, table in rows.items()]
    plan += [{"row": row, "table": None, "kind": "baseline", "seeds": [None], "stages": []} for row in floors]
    run.mkdir(parents=True)
    _json(run / "plan.json", _plan(run.name, primary, seeds, plan))
    (run / "experiment.yaml").write_text(f"name: {run.name}\nseeds: {list(seeds)}\n")
    damage = _pairs(run, images, size, rng)
    by_image = {image: rng.normal(0, 1) for image in images}
    for floor in floors:
        folder = run / floor
        _row(folder, floor, None, None, by_image, offsets.get(floor, -2.0), rng)
        _images(folder, damage, 1.0, rng)
    for row, table in rows.items():
        for seed in seeds:
            folder = run / row / f"seed{seed}"
            _row(folder, row, table, seed, by_image, offsets.get(row, 0.0), rng)
            _curve(folder, rng)
            _images(folder, damage, 0.4, rng)
    return run


def _edit(path: Path, **changes: Any) -> dict[str, Any]:
    data = json.loads(path.read_text()) | changes
    _json(path, data)
    return data


def _plan(name: str, primary: str, seeds: Sequence[int], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": 2, "experiment": name, "primary": primary, "equivalence_margin": 0.1, "seeds": list(seeds),
        "rows": rows,
        "command": f"python -m benchmark run experiments/{name}.yaml",
    }  # fmt: skip


def _plan_row(row: str, table: str | None, seeds: Sequence[int]) -> dict[str, Any]:
    stages = [
        {"name": name, "steps": steps, "keys": {str(s): _key(row, name, s) for s in seeds}} for name, steps in STAGES
    ]
    hashes = {str(seed): f"hash-{row}-{seed}" for seed in seeds}
    return {
        "row": row,
        "table": table,
        "kind": "trained",
        "seeds": list(seeds),
        "config_hashes": hashes,
        "stages": stages,
    }


def _key(row: str, stage: str, seed: int) -> str:
    return f"coarse-{seed}" if stage == "coarse" else f"{stage}-{row}-{seed}"


def _row(
    folder: Path,
    row: str,
    table: str | None,
    seed: int | None,
    by_image: Mapping[str, float],
    offset: float,
    rng: np.random.Generator,
) -> None:
    folder.mkdir(parents=True)
    noise = rng.normal(0, 0.1)
    lines = [
        ("test", image, metric, level + SCALE.get(metric, 0.01) * (offset + noise + of_image + rng.normal(0, 0.2)))
        for image, of_image in by_image.items()
        for metric, level in METRICS.items()
    ]
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("split", "image", "metric", "value"), *lines])
    scores = {
        metric: {
            "mean": float(np.mean([value for *_, name, value in lines if name == metric])),
            "std": float(np.std([value for *_, name, value in lines if name == metric])),
            "n": len(by_image),
        }
        for metric in METRICS
    }
    _json(folder / "record.json", _record(row, table, seed, scores))


def _record(row: str, table: str | None, seed: int | None, scores: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": 2, "experiment": "quickstart", "row": row, "tables": [table] if table else [], "seed": seed,
        "status": "done", "error": None, "config": {}, "config_hash": f"hash-{row}-{seed}",
        "model": None if seed is None else _model(row),
        "gates": [] if seed is None else _gates(row),
        "stages": [] if seed is None else _stages(row, seed),
        "scores": {"test": scores},
        "provenance": _provenance(),
    }  # fmt: skip


def _model(row: str) -> dict[str, Any]:
    size = 200_000 + 40_000 * (len(row) % 7)
    return {
        "backbone": "gunet", "head": "rgb", "params": size // 4, "macs": 123_456_789, "macs_shape": [1, 3, 256, 256],
        "weight_bytes": {"float32": size, "float16": size // 2}, "citations": [BIBTEX],
    }  # fmt: skip


def _gates(row: str) -> list[dict[str, Any]]:
    quick = {
        "name": "quick", "device": "AMD EPYC", "threads": 2, "dtype": "float32", "layout": "NCHW", "runtime": "eager",
        "image": [256, 256], "allocator": "kept", "runs": 40, "p90_ms": 33.0, "p99_ms": 35.1, "net_median_ms": 29.9,
    }  # fmt: skip
    return [
        _gate("size", "size", 10_000_000, _model(row)["weight_bytes"]["float32"], "bytes", "passed", {}),
        _gate("latency", "latency", 50, None, "ms", "not_measured", {"device": "V100", "reason": "no V100 here"}),
        _gate("latency_here", "latency", 100, 20.0 + 3 * (len(row) % 5), "ms", "inconclusive", quick),
    ]


def _gate(
    name: str, quantity: str, limit: float, measured: float | None, unit: str, result: str, protocol: dict
) -> dict:
    return {
        "name": name, "quantity": quantity, "limit": limit, "measured": measured, "unit": unit, "result": result,
        "protocol": protocol, "estimate": None,
    }  # fmt: skip


def _stages(row: str, seed: int) -> list[dict[str, Any]]:
    return [
        {
            "name": name, "key": _key(row, name, seed), "reused": name == "coarse" and row != "base", "steps": steps,
            "seconds": 9.1, "images_per_second": 131.0, "peak_memory_bytes": 512_000_000,
            "val": {"psnr": 33.0 + place + 0.1 * len(row) + 0.05 * seed},
        }
        for place, (name, steps) in enumerate(STAGES)
    ]  # fmt: skip


def _provenance() -> dict[str, Any]:
    return {
        "command": "python -m benchmark run x.yaml", "commit": "abc1234", "dirty": False,
        "started": "2026-11-22T13:00:00Z", "seconds": 31.0, "device": "cpu", "device_name": "AMD EPYC", "threads": 2,
        "allocator": "kept", "python": "3.11.7", "torch": "2.13.0+cpu", "versions": {"numpy": "2.4.6"},
        "platform": "Linux-6.1", "environment": "cpu-float32-torch2.13",
    }  # fmt: skip


def _curve(folder: Path, rng: np.random.Generator) -> None:
    with (folder / "curve.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("stage", "step", "name", "value"))
        for place, (name, steps) in enumerate(STAGES):
            for step in range(1, steps + 1):
                level = -33.0 if place else 0.0
                writer.writerow((name, step, "lr", 1e-4))
                writer.writerow((name, step, "loss", level + 2 / step**0.5 + rng.normal(0, 0.05)))


def _pairs(
    run: Path, images: Sequence[str], size: tuple[int, int], rng: np.random.Generator
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes targets (a gradient) and degraded images (with a dark spot); image -> (target, damage)."""
    height, width = size
    made: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    down, right = np.mgrid[0:height, 0:width]
    for image in images:
        target = np.stack([90 + 100 * right / width, 80 + 90 * down / height, 120 + 0 * down], axis=-1)
        target = target + rng.normal(0, 4, target.shape)
        y, x = rng.integers(12, height - 12), rng.integers(12, width - 12)
        spot = 70 * np.exp(-((down - y) ** 2 + (right - x) ** 2) / 18)
        made[image] = target, spot[..., None]
        _png(run / "pairs" / "target" / f"{image}.png", target)
        _png(run / "pairs" / "degraded" / f"{image}.png", target - spot[..., None])
    return made


def _images(
    folder: Path, damage: Mapping[str, tuple[np.ndarray, np.ndarray]], left: float, rng: np.random.Generator
) -> None:
    for image, (target, spot) in damage.items():
        _png(folder / "images" / f"{image}.png", target - left * spot + rng.normal(0, 1, target.shape))


def _png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8)).save(path)


def _json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data), encoding="utf-8")
