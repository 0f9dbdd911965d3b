#!/bin/bash
# OMP_NUM_THREADS 1 or 2 (or a cgroup with other cores) train other weights under the SAME stage key, and the stage does not say with how many threads it was trained.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64
cat > "$T/wide.yaml" <<E
extends: tiny.yaml
name: wide
model: {backbone: {name: unet, size: null, width: 16}}
protocol: {a: {steps: 6, batch: 4, patch: 64}}
E
for n in 1 2; do OMP_NUM_THREADS=$n python -m benchmark run "$T/wide.yaml" --output "$T/$n/wide" > "$T/log$n" 2>&1 || { cat "$T/log$n"; exit 2; }; done
same() { [ "$(cd "$T/1/.stages" && $1)" = "$(cd "$T/2/.stages" && $1)" ]; }
same "find -name weights.safetensors" || { echo "FAULT: another number of cores is another key"; exit 1; }
same "find -name weights.safetensors -exec sha256sum {} +" || { echo "FAULT: 1 and 2 threads train other weights under one key"; exit 1; }
python - "$T/2/wide/base/seed0/record.json" <<'E' || { echo "FAULT: the stage does not say with how many threads it was trained"; exit 1; }
import json, sys
sys.exit(json.load(open(sys.argv[1]))["stages"][0].get("provenance", {}).get("threads") != 1)
E
