#!/bin/bash
# search.metric (or report.primary) score on images below 161 px: told only after everything was trained.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

cat > "$T/search.yaml" <<E
extends: tiny.yaml
name: s
search: {metric: score, trials: 2, parameters: {protocol.a.lr: {choices: [1e-3, 2e-3]}}}
E
python -m benchmark search "$T/search.yaml" --output "$T/s/run" > "$T/out" 2>&1; grep -E "FAILED|steps trained" "$T/out"
bad=0
if grep -qE "[1-9][0-9]* steps trained" "$T/out"; then echo "FAULT: val images of 64 px have no score (needs 161 px), known before the first step; all trials are trained, all fail, and the next call tries them again"; bad=1; fi
python -m benchmark run "$T/tiny.yaml" --set report.primary=ms_ssim --output "$T/r/run" > "$T/out2" 2>&1
if ! grep -qi "ms_ssim" "$T/out2"; then echo "FAULT: report.primary ms_ssim on test images of 64 px: trained without a word; the report says at the end that rows lack the primary metric, and gives base rank 1"; bad=1; fi
exit $bad
