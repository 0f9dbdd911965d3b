#!/bin/bash
# Runs folder on a file system without flock (some NFS, Lustre without the flock option): ENOLCK.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

mkdir "$T/site"; cat > "$T/site/sitecustomize.py" <<'E'
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
E
cat > "$T/search.yaml" <<E
extends: tiny.yaml
name: s
search: {metric: psnr, trials: 2, parameters: {protocol.a.lr: {choices: [1e-3, 2e-3]}}}
E
bad=0
PYTHONPATH="$T/site" python -m benchmark search "$T/search.yaml" --output "$T/s/run" > "$T/out1" 2>&1
if grep "another search is writing" "$T/out1"; then echo "FAULT: no other search is; the file system has no locks"; bad=1; fi
PYTHONPATH="$T/site" python -m benchmark run "$T/tiny.yaml" --output "$T/r/run" > "$T/out2" 2>&1
if grep "the cache cannot be written" "$T/out2"; then echo "FAULT: the cache can be written; locks are missing, and 'free space' is no help"; bad=1; fi
PYTHONPATH="$T/site" python - "$T" <<'E' || bad=1
import sys
from pathlib import Path
from benchmark.runner.stage_store import StageStore
try:
    with StageStore(Path(sys.argv[1]) / "store").lease("key"):
        pass
except OSError as error:
    print("FAULT: the lease raises, so run trains no stage here (FAILED OSError, traceback in error.txt):", error)
    sys.exit(1)
E
exit $bad
