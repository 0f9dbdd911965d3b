#!/bin/bash
# 4 trials over 4 values: one is tried twice, one never, and nothing says so.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

cat > "$T/search.yaml" <<E
extends: tiny.yaml
name: s
search: {metric: psnr, trials: 4, parameters: {protocol.a.lr: {choices: [1e-3, 2e-3, 3e-3, 4e-3]}}}
E
python -m benchmark search "$T/search.yaml" --output "$T/run" > "$T/out" 2>&1; cut -d, -f1,4 "$T/run/trials.csv"
n=$(tail -n +2 "$T/run/trials.csv" | cut -d, -f4 | sort -u | wc -l)
if [ "$n" -lt 4 ]; then echo "FAULT: 4 trials, 4 values, $n of them tried"; exit 1; fi
