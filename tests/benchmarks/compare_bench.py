"""Compare a run of the benchmarks with a saved baseline, by ratios to the reference kernel of the same run.

    make bench                                                        runs the benchmarks and this comparison
    python tests/benchmarks/compare_bench.py RESULT.json BASELINE.json [--save]  --save makes RESULT the new baseline

A ratio is the benchmark's median time divided by the time of a plain 3x3 convolution that ran beside it. Rows marked
`slower` exceed the baseline by more than the scatter that shared machines show.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOLERANCE = 0.25
"""Relative change of a ratio that repeated runs of the same code show on a shared machine."""


def read_ratios(file: Path) -> dict[str, float]:
    """Return the ratio of each benchmark by name, from pytest-benchmark's JSON or from a saved baseline."""
    data: Any = json.loads(file.read_text(encoding="utf-8"))
    if "ratios" in data:
        return data["ratios"]
    return {
        benchmark["name"]: 1000 * benchmark["stats"]["median"] / benchmark["extra_info"]["reference_ms"]
        for benchmark in data["benchmarks"]
        if "reference_ms" in benchmark["extra_info"]
    }


def describe_change(ratio: float, baseline: float | None) -> str:
    """Return what a ratio is beside its baseline: `new`, or the change in percent, with `slower` or `faster`."""
    if baseline is None:
        return "new"
    change = ratio / baseline - 1
    label = "slower" if change > TOLERANCE else "faster" if change < -TOLERANCE else ""
    return f"{100 * change:+5.0f} % {label}".rstrip()


def main(arguments: Sequence[str]) -> int:
    """Print the comparison; return 1 if a benchmark is slower than its baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("baseline", type=Path)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args(arguments)
    ratios = read_ratios(options.result)
    if options.save:
        rounded = {name: float(f"{ratio:.4g}") for name, ratio in sorted(ratios.items())}
        options.baseline.write_text(json.dumps({"ratios": rounded}, indent=1) + "\n", encoding="utf-8")
    baseline = read_ratios(options.baseline) if options.baseline.is_file() else {}
    changes = {name: describe_change(ratio, baseline.get(name)) for name, ratio in ratios.items()}
    print(f"{'benchmark':60} {'ratio':>9} {'baseline':>9}  change")
    for name, ratio in ratios.items():
        before = f"{baseline[name]:9.3g}" if name in baseline else f"{'-':>9}"
        print(f"{name:60} {ratio:9.3g} {before}  {changes[name]}")
    return int(any(change.endswith("slower") for change in changes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
