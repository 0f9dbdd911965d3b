#!/bin/bash
# A FIFO or a device where an experiment names a file: `model.weights`, or an image in a CSV of pairs. The command hangs for ever (FIFO) or eats memory (/dev/zero).
OMP_NUM_THREADS=1; W=$(mktemp -d); mkfifo $W/f.png; bad=0
try() { ( ulimit -t 15 -v 6000000; timeout 40 python -c "
import pathlib, sys
from benchmark.errors import BenchmarkError
from benchmark.$1 import $2 as read
try: read(pathlib.Path('$3'))
except (BenchmarkError, OSError) as e: print(str(e)[:120]); sys.exit(2)" 2>$W/err ); rc=$?; [ $rc = 2 ] || { echo "FAULT $2($3): exit $rc $(tail -1 $W/err | cut -c1-100)"; bad=1; }; }
try data.image_io read_image $W/f.png
try model.weight_files read_checkpoint $W/f.png
try model.weight_files read_checkpoint /dev/zero
try files digest_of /dev/zero
try experiment.document read $W/f.png
try experiment.document read /dev/zero
rm -rf $W; exit $bad
