#!/bin/bash
# A store without flock (ENOLCK/EOPNOTSUPP: NFS without lockd, some FUSE and 9p) or on a read-only filesystem with everything finished: every row fails with "OSError: [Errno 37] ... (traceback in error.txt)", the search says "another search is writing to it". Neither names the cause nor a way out.
OMP_NUM_THREADS=1 python - <<'P'
import errno, fcntl, pathlib, sys, tempfile
from benchmark.errors import BenchmarkError
from benchmark.experiment.search_space import Search
from benchmark.runner.stage_store import StageStore
from benchmark.experiment.search_settings import Tpe
from benchmark.search.study import open_study
from reports.metrics import IMAGE_METRICS
def no(*a): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = no; bad = 0
try:
    with StageStore(pathlib.Path(tempfile.mkdtemp())).lease("a" * 32): pass
except BenchmarkError as e: print("told:", e)
except OSError as e: bad = 1; print("FAULT store:", e)
try:
    search = Search(IMAGE_METRICS["psnr"], 2, Tpe(), 0, ())
    with open_study(pathlib.Path(tempfile.mkdtemp()) / "j", "s", search, "i", replace=False): pass
except BenchmarkError as e:
    print("search:", e); bad |= "another search" in str(e)
sys.exit(bad)
P
