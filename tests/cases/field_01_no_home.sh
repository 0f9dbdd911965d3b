#!/bin/bash
# A user without entry in /etc/passwd and without HOME (docker --user 12345), BENCHMARK_CACHE set.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

mkdir "$T/site"; cat > "$T/site/sitecustomize.py" <<'E'
import pwd
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
E
env -u HOME -u USER -u LOGNAME PYTHONPATH="$T/site" python -m benchmark run "$T/tiny.yaml" --output "$T/run" > "$T/out" 2>&1; run=$?
env -u HOME -u USER -u LOGNAME PYTHONPATH="$T/site" python -m benchmark doctor > "$T/doctor" 2>&1
grep -h -E "Traceback|RuntimeError" "$T/out" "$T/doctor"
if [ $run -ne 0 ] || grep -q Traceback "$T/out" "$T/doctor"; then echo "FAULT: no home folder is needed with BENCHMARK_CACHE set, yet run ends with $run and a traceback, and so does doctor"; exit 1; fi
