#!/bin/bash
# A finished stage in a store of another user (umask 022): readable, but asking for it wants to write the lease.
. "$(dirname "$0")/_setup.sh"

python - "$T" <<'E'
import os, sys
from pathlib import Path
from torch import nn
from benchmark.runner.stage_store import StageResult, StageStore
store, key = StageStore(Path(sys.argv[1]) / "store"), "a" * 32
os.umask(0o022); "".encode("utf-8-sig")  # another user may not import the encoding from here
with store.lease(key) as lease:
    store.publish(lease, StageResult("a", key, 1, 1.0, 1.0, 1, {}), nn.Conv2d(3, 3, 1), [])
os.chmod(sys.argv[1], 0o755)
if os.getuid() == 0: os.setgroups([]); os.setgid(12345); os.setuid(12345)
else: os.system(f"chmod -R a-w '{store.root}'")
try:
    with store.claim(key, print) as lease: assert lease is None
    assert store.finished(key, verify=True) and store.weights(key)
except OSError as error: print("FAULT: a row whose stages are all finished and readable fails:", error); sys.exit(1)
finally:
    if os.getuid() != 12345: os.system(f"chmod -R u+w '{store.root}'")
E
