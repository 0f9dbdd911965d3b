#!/bin/bash
# An alias that holds itself ends in a traceback.
. "$(dirname "$0")/_setup.sh"

printf 'name: x\ntables: &t\n  again: *t\n' > "$T/ring.yaml"
python -m benchmark plan "$T/ring.yaml" > "$T/out" 2>&1; tail -1 "$T/out"
if grep -q Traceback "$T/out"; then echo "FAULT: $(wc -l < "$T/out") lines of traceback instead of one line with file and line"; exit 1; fi
