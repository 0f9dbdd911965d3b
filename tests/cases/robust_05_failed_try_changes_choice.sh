#!/bin/bash
# Tuning: a candidate that fails for a passing reason (killed worker, full disk, NFS) is left out of the choice, the row is trained with the second best candidate, exit code 0; when the cause is gone the same command stops with code 2 ("another configuration").
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64
cat > "$T/tuned.yaml" <<E
extends: tiny.yaml
name: tuned
tuning: {candidates: {slow: {protocol.a.lr: 1e-9}, fast: {protocol.a.loss: {l1: null, flaky: 1.0}}}, metric: psnr}
E
cat > "$T/flaky.py" <<E
from pathlib import Path
from losses import Loss

class Flaky(Loss):
    formula = origin = "L1 on a disk that fails as long as a file is there"

    def forward(self, restoration, batch):
        if Path("$T/full").exists():
            raise OSError(5, "Input/output error")
        return (restoration.image - batch.target).abs().mean()
E
run() { python -m benchmark run "$T/tuned.yaml" --output "$T/$1/tuned" --plugin "$T/flaky.py" > "$T/log" 2>&1; }
chosen() { python -c "import json; print(json.load(open('$T/$1/tuned/tuning.json'))['rows'][0]['chosen'])"; }
run a || { cat "$T/log"; exit 2; }
[ "$(chosen a)" = fast ] || { echo "undisturbed, $(chosen a) is chosen"; exit 2; }
touch "$T/full"; run b; code=$?; line=$(tail -1 "$T/log")
if [ $code != 2 ] || [ "$(chosen b)" != None ] || [ -e "$T/b/tuned/base" ]; then echo "FAULT: one candidate failed, $(chosen b) is chosen, exit code $code"; exit 1; fi
case "$line" in "error: "*"Input/output error"*) ;; *) echo "FAULT: $line"; exit 1;; esac
rm "$T/full"; run b; code=$?
if [ $code != 0 ] || [ "$(chosen b)" != fast ]; then echo "FAULT: once the cause is gone, $(chosen b) is chosen, exit code $code: $(tail -1 "$T/log")"; exit 1; fi
