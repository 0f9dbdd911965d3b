"""Peak memory of `restore` for large photographs:

    python tests/benchmarks/restore_memory.py runs/quickstart/base 4000 6000 1

The last number is how many photographs there are. Prints the largest resident set of the command in megabytes of 10^6
bytes, with the seconds that it took.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]


def main(row: str, height: int, width: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "photos").mkdir()
        coarse = Image.fromarray(np.random.default_rng(0).integers(40, 216, (40, 60, 3), np.uint8))
        photo = coarse.resize((width, height), Image.Resampling.BICUBIC)
        for index in range(count):
            photo.save(Path(folder) / "photos" / f"{index}.jpg", quality=92)
        command = [sys.executable, "-m", "benchmark", "restore", row, f"{folder}/photos", f"{folder}/restored"]
        started = time.perf_counter()
        subprocess.run([*command, "--device", "cpu"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    print(json.dumps({"photos": count, "peak_mb": round(peak), "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
