#!/bin/bash
# Aliases of aliases ("billion laughs", 600 bytes) are expanded without limit: all CPU and memory until killed. And data.train.count: 1_000_000_000_000 makes `plan` count subjects for ever.
OMP_NUM_THREADS=1; bad=0; W=$(mktemp -d); export BENCHMARK_CACHE=$W/c
{ echo 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]'; for i in $(seq 11); do p=$((i-1)); echo "a$i: &a$i [*a$p,*a$p,*a$p,*a$p,*a$p,*a$p,*a$p,*a$p,*a$p,*a$p]"; done; } > $W/x.yaml
( ulimit -t 15 -v 6000000; python -c "
import pathlib, sys
from benchmark.errors import BenchmarkError
from benchmark.experiment.document import read
try: read(pathlib.Path('$W/x.yaml'))
except BenchmarkError: sys.exit(2)" 2>/dev/null ); rc=$?; [ $rc = 2 ] || { echo "FAULT alias bomb: exit $rc, not refused within 15 s of CPU"; bad=1; }
( ulimit -t 20 -v 6000000; python -c "
import sys
from benchmark.errors import BenchmarkError
from benchmark.data.sources import open_source
from benchmark.registry import Registry
try:
    s = open_source({'source': 'synthetic_faces', 'preset': 'severe', 'count': 10**12, 'size': 64, 'seed': 0}, Registry()); s.fingerprint; s.subjects
except BenchmarkError: sys.exit(2)" 2>/dev/null ); rc=$?; [ $rc = 0 -o $rc = 2 ] || { echo "FAULT count 10^12: exit $rc"; bad=1; }
rm -rf $W; exit $bad
