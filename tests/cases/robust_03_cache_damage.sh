#!/bin/bash
# A damaged cache: changed pixels are believed (other results, same key), a cut or empty file is a traceback in every later command until somebody deletes the cache by hand. `_build` also renames without fsync: a power cut can leave just that.
OMP_NUM_THREADS=1 python - <<'P'
import json, pathlib, sys, tempfile, traceback
from benchmark.data.split_leakage import check_contents
from benchmark.data.cache import cached
from benchmark.data.sources import open_source
from benchmark.errors import BenchmarkError
from benchmark.registry import Registry
bad = 0
def fresh(root):
    return cached(open_source({"source": "synthetic_faces", "preset": "severe", "count": 1, "size": 64, "seed": 0}, Registry()), root, 1)
for name, file, change in [("pixels inverted", "arrays.bin", lambda b: bytes(255 - x for x in b)), ("cut", "arrays.bin", lambda b: b[:500]), ("empty index", "index.json", lambda b: b""), ("digests of another form", "digests.json", lambda b: b'["a"]')]:
    root = pathlib.Path(tempfile.mkdtemp()); source = fresh(root); want = source.read(0).target.tobytes()
    check_contents("r", {"a": source})
    f = next(root.glob("Synthetic*")) / file; f.write_bytes(change(f.read_bytes() if f.exists() else b""))
    try:
        again = fresh(root); check_contents("r", {"a": again}); got = again.read(0).target.tobytes()
        print(name, "->", "mended" if got == want else "BELIEVED"); bad |= got != want
    except BenchmarkError as e: print(name, "-> told:", str(e)[:100])
    except Exception as e: print(name, "-> TRACEBACK", type(e).__name__, str(e)[:80]); bad = 1
sys.exit(bad)
P
