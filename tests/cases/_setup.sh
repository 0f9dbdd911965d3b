# Sourced by the cases: a temporary folder $T, a cache of its own, and a tiny experiment on drawn pairs.
set -u
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
export BENCHMARK_CACHE="$T/cache" OMP_NUM_THREADS=1

# tiny_experiment COUNT SIZE: writes COUNT pairs of SIZE pixels a split below $T/p and $T/tiny.yaml, one row of two steps.
tiny_experiment() {
python - "$T/p" "$1" "$2" <<'E'
import sys
from pathlib import Path
import numpy as np
from PIL import Image
root, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for seed, split in enumerate(("train", "val", "test")):
    rng = np.random.default_rng(seed)
    for index in range(count):
        y, x = np.mgrid[:size, :size]
        waves = [128 + 60 * np.sin(x / rng.uniform(5, 20)) + 40 * np.cos(y / rng.uniform(5, 20)) for _ in range(3)]
        clean = np.stack(waves, -1)
        clean = np.clip(clean + rng.normal(0, 3, clean.shape), 0, 255).astype(np.uint8)
        spotted = clean.copy(); spotted[size // 3 : size // 3 + 6, size // 2 : size // 2 + 6] //= 3
        for side, image in (("degraded", spotted), ("target", clean)):
            folder = root / split / side; folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{split}{index}.png")
E
cat > "$T/tiny.yaml" <<E
name: tiny
data:
  train: {source: paired_folders, degraded: p/train/degraded, target: p/train/target}
  val: {source: paired_folders, degraded: p/val/degraded, target: p/val/target}
  test: {source: paired_folders, degraded: p/test/degraded, target: p/test/target}
model: {backbone: {name: dncnn, size: tiny}, head: {name: residual}}
protocol:
  order: [a]
  a: {steps: 2, batch: 2, patch: 32, lr: 1e-3, loss: {l1: 1.0}}
seeds: [0]
E
}
