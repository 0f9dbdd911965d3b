"""Table of how fast the small networks run and train: `python tests/benchmarks/network_speed.py [BACKBONE ...]`.

Measured by `test_network_speed.py`, one image of 256 x 256 at a time. Shares are relative to the speed of plain 3x3
convolutions with about the same multiply-adds, measured alternately with the network; the folded network is credited
with the multiply-adds before folding. Training is one forward and backward pass. Set threads by OMP_NUM_THREADS.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmark.registry import Registry

TEST = Path(__file__).with_name("test_network_speed.py")
MODES = ("forward", "folded", "training")
HEADINGS = (
    *("backbone", "parameters", "GMACs", "forward ms", "images/s", "GMAC/s", "of conv"),
    *("folded ms", "images/s", "of conv", "training ms", "images/s", "of conv"),
)


def main(names: list[str]) -> None:
    """Print the table of these backbones, of all without any."""
    names = names or Registry().names("backbone")
    runs = _measure(names)
    first = next(iter(runs.values()))
    print(
        f"{first['side']} x {first['side']} px, batch 1, torch {first['torch']}, {first['threads']} thread(s), median"
    )
    rows = [HEADINGS, *(_row(name, *(runs[name, mode] for mode in MODES)) for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        cells = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        print("  ".join((name.ljust(widths[0]), *cells)))


def _measure(names: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Run the benchmarks of these backbones, with output to stderr; return their records by backbone and mode."""
    tests = [f"{TEST}::test_network_speed[{name}-{mode}]" for name in names for mode in MODES]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "speed.json"
        options = ["-q", "--benchmark-only", "--benchmark-quiet", f"--benchmark-json={result}"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        subprocess.run(command, check=True, cwd=TEST.parents[2], stdout=sys.stderr)
        benchmarks = json.loads(result.read_text(encoding="utf-8"))["benchmarks"]
    records = [benchmark["extra_info"] for benchmark in benchmarks]
    return {(record["backbone"], record["mode"]): record for record in records}


def _row(name: str, forward: dict[str, Any], folded: dict[str, Any], training: dict[str, Any]) -> tuple[str, ...]:
    time_ms, images, share = _speed(forward)
    cost = (f"{forward['parameters']:,}", f"{forward['gmacs']:.2f}")
    return (
        *(name, *cost, time_ms, images, f"{forward['gmacs_per_second']:.1f}", share),
        *_speed(folded),
        *_speed(training),
    )


def _speed(record: dict[str, Any]) -> tuple[str, str, str]:
    share = record["share_of_convolution_speed"]
    return f"{record['median_ms']:.1f}", f"{record['images_per_second']:.2f}", f"{share:.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
