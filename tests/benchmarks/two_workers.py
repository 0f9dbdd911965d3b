"""Two runs at the same time on one device, beside the same two one after the other:

    python tests/benchmarks/two_workers.py --device cuda --steps 400

Seeds 0 and 1 of the quickstart's base row, with this many steps in its longest stage; each way has a store of its own.
Prints one line of JSON: seconds of both ways, their ratio, and whether the weights are the same bytes.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = (0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = {"BENCHMARK_CACHE": str(Path(folder) / "cache")}
        finish([start(options, Path(folder) / "first", SEEDS[0], cache)])  # draws the faces, which all others read
        alternately_s, one_by_one = timed(options, Path(folder) / "one_by_one", cache, at_once=False)
        at_once_s, both = timed(options, Path(folder) / "at_once", cache, at_once=True)
    seconds = {"one_by_one_s": round(alternately_s, 1), "at_once_s": round(at_once_s, 1)}
    ratio = {"ratio": round(alternately_s / at_once_s, 3), "same_weights": one_by_one == both}
    print(json.dumps({"device": options.device, "steps": options.steps, **seconds, **ratio}))


def timed(
    options: argparse.Namespace, output: Path, cache: dict[str, str], *, at_once: bool
) -> tuple[float, list[str]]:
    """Return the seconds of both runs, and the SHA-256 of their weights."""
    started = time.perf_counter()
    if at_once:
        finish([start(options, output / str(seed), seed, cache) for seed in SEEDS])
    else:
        for seed in SEEDS:
            finish([start(options, output / str(seed), seed, cache)])
    seconds = time.perf_counter() - started
    files = [output / str(seed) / "run" / "base" / f"seed{seed}" / "weights.safetensors" for seed in SEEDS]
    return seconds, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def start(options: argparse.Namespace, folder: Path, seed: int, cache: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmark", "run", "experiments/quickstart.yaml", "--device", options.device]
    command += ["--rows", "base", "--seeds", str(seed), "--output", str(folder / "run")]
    command += ["--set", f"protocol.psnr.steps={options.steps}", "--set", "protocol.coarse.steps=2"]
    command += ["--set", "protocol.score.steps=2"]
    environment = os.environ | cache | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def finish(processes: list[subprocess.Popen[str]]) -> None:
    """Wait for runs.

    Raises:
        RuntimeError: One failed; with its last lines.
    """
    for process in processes:
        text = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(text[-1000:])


if __name__ == "__main__":
    main()
