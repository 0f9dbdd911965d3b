#!/bin/bash
# The same command started twice by mistake, the second ended with Ctrl-C: the second removes the scores and images that the first has just written, the first then writes record.json, and a "done" row without its scores stands for ever (run and run --replace call it finished).
OMP_NUM_THREADS=1 python - <<'P'
import os, pathlib, sys, tempfile
from types import SimpleNamespace
import benchmark.runner.row as rows
from benchmark.runner.record_writer import Record, is_finished, write_record, write_scores
# The order of calls of two processes on one row, as run_row makes them: A and B are both at the row.
folder = pathlib.Path(tempfile.mkdtemp()) / "base/seed0"
planned = SimpleNamespace(config_hash="h", folder="base/seed0"); context = SimpleNamespace(output=folder.parents[1])
rows.clear_folder(planned, context)                                                                   # A begins, trains, tests ...
image = SimpleNamespace(pair=SimpleNamespace(name="face"), metrics={"psnr": 30.0})
write_scores(folder, "test", [image])                                                 # A has its scores
rows.clear_folder(planned, context)                                                                   # B begins the same row, then waits or tests; Ctrl-C
write_record(folder, Record(experiment="x", row="base", tables=(), seed=0, status="done", config={}, config_hash="h", provenance={}))   # A ends
believed = is_finished(folder, planned, replace=False) and is_finished(folder, planned, replace=True)
there = (folder / "scores.csv").exists()
print("scores.csv there:", there, "| taken for finished, also with --replace:", believed)
sys.exit(believed and not there)
P
