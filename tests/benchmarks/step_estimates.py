"""How well `plan` foretells the time of training: estimates for six networks and two thread counts, and the truth.

    python tests/benchmarks/step_estimates.py           # some minutes; nothing else should run meanwhile

Two steps of each network are timed, as `plan` does, in an empty cache folder. Then `run` trains each of them for 60
steps, with as many workers as the cores allow. Prints both times of each stage in seconds, and by how many percent the
truth is longer.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

NETWORKS = {
    "gunet": "{name: gunet, size: tiny}",
    "nafnet": "{name: nafnet, size: tiny}",
    "restormer_lite": "{name: restormer_lite, size: tiny}",
    "unet": "{name: unet, size: tiny}",
    "plksr": "{name: plksr, size: tiny}",
    "gunet_t": "{name: gunet, size: t}",
}
EXPERIMENT = """
name: estimates
data:
  train: {{source: synthetic_faces, preset: severe, count: 24, size: 256, seed: 0}}
  val: {{source: synthetic_faces, preset: severe, count: 1, size: 256, seed: 1}}
  test: {{source: synthetic_faces, preset: severe, count: 1, size: 256, seed: 2}}
model: {{backbone: {base}, head: {{name: degradation}}}}
protocol:
  order: [coarse]
  coarse: {{steps: 60, batch: 4, patch: 96, lr: 1e-4, threads: {threads}, loss: {{l1: 1.0}}}}
seeds: [0]
tables:
  networks:
{rows}
"""


def main() -> None:
    """Print a table for each thread count."""
    for threads in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = folder
            print(f"{threads} threads a stage: seconds estimated, seconds taken, difference")
            _compare(Path(folder), threads)


def _compare(folder: Path, threads: int) -> None:
    from benchmark.cli.experiment_setup import prepare
    from benchmark.cli.options import Selection
    from benchmark.runner.estimates import estimate
    from benchmark.runner.local_executor import worker_devices
    from reports.schema import Record, read

    rows = "".join(f"    {name}: {{model.backbone: {spec}}}\n" for name, spec in NETWORKS.items() if name != "gunet")
    file = folder / "estimates.yaml"
    file.write_text(EXPERIMENT.format(base=NETWORKS["gunet"], threads=threads, rows=rows))
    prepared = prepare(Selection(file, folder / "run", (), (), (), None, (), replace=False))
    workers = len(worker_devices(prepared.plan, prepared.context))
    times = estimate(prepared.plan, prepared.context, 1)
    command = [sys.executable, "-m", "benchmark", "run", str(file), "--output", str(folder / "run")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for row in prepared.plan.rows:
        record = read(Record, prepared.context.output / row.folder / "record.json")
        estimated, taken = times.seconds[row.stages[0].key], record.stages[0].seconds or 0.0
        print(f"  {row.row:<24} {estimated:7.1f} {taken:7.1f} {100 * (taken / estimated - 1):+6.0f} %")
    print(f"  ({workers} at a time{times.note})")


if __name__ == "__main__":
    main()
