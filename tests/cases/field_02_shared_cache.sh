#!/bin/bash
# A cache shared by a group (umask 002): folders are made 0700, so colleagues cannot read them.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

umask 002; python -m benchmark run "$T/tiny.yaml" --output "$T/run" > "$T/out" 2>&1 || { tail -3 "$T/out"; exit 1; }
bad=$(find "$T/cache" -mindepth 1 -maxdepth 1 -type d ! -perm -050 -printf '%m %f\n')
if [ -n "$bad" ]; then echo "$bad"; echo "FAULT: with umask 002 the cache's folders are closed to the group; its members get 'Permission denied ... the same command goes on from there'"; exit 1; fi
