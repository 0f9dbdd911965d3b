#!/bin/bash
# kill -9 while a search writes its journal leaves study.journal.lock (a symlink of Optuna's): the next call hangs 30 s without a word, although our own flock already proves that nobody else writes.
W=$(mktemp -d); OMP_NUM_THREADS=1 python - $W <<'P'
import inspect, os, pathlib, sys, time
from benchmark.experiment.search_settings import Random
from benchmark.experiment.search_space import Choices, Parameter, Search
from reports.metrics import metric
from benchmark.search.study import open_study, resume
given = dict(path="protocol.x", base=1, domain=Choices(values=(1, 2)))
search = Search(**{k: v for k, v in dict(metric=metric("psnr"), trials=2, parameters=(Parameter(**given),), sampler=Random(), seed=0).items() if k in inspect.signature(Search).parameters})
j = pathlib.Path(sys.argv[1]) / "study.journal"
with open_study(j, "s", search, "id", replace=False) as s: resume(s, search)
os.symlink(j, str(j) + ".lock")       # as a process killed within append_logs leaves it
t = time.time()
with open_study(j, "s", search, "id", replace=False) as s: s.enqueue_trial({"protocol.x": 2})
s = time.time() - t; print(f"opened after {s:.0f} s"); sys.exit(s > 10)
P
rc=$?; rm -rf $W; exit $rc
