#!/bin/bash
# No /dev/shm, or one of 1 MB that is full: semaphores cannot be made; the message blames the cache.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 10 32

mkdir "$T/site"; cat > "$T/site/sitecustomize.py" <<'E'
import errno, _multiprocessing
class SemLock:
    SEM_VALUE_MAX = 2**31 - 1
    def __init__(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")
_multiprocessing.SemLock = SemLock
E
PYTHONPATH="$T/site" python -m benchmark run "$T/tiny.yaml" --output "$T/run" > "$T/out" 2>&1; tail -1 "$T/out"
if grep -q "the cache cannot be written" "$T/out"; then echo "FAULT: the cache's disk has room; /dev/shm has not. Neither free space nor BENCHMARK_CACHE mends it (one process would have done)"; exit 1; fi
if ! grep -q "report:" "$T/out"; then echo "(no run; the message above should name /dev/shm)"; grep -q "dev/shm\|semaphore" "$T/out" || exit 1; fi
