#!/bin/bash
# A finished stage in a store of another user (umask 022): readable, but asking for it wants to write the lease.
. "$(dirname "$0")/_setup.sh"

python - "$T" <<'E'
import os, sys
from pathlib import Path
from benchmark.runner.stage_store import StageStore
root = Path(sys.argv[1]) / "store"; (root / ".leases").mkdir(parents=True)
(root / ".leases" / "key").touch(); os.chmod(root / ".leases" / "key", 0o644); os.chmod(root, 0o755); os.chmod(root.parent, 0o755)
if os.getuid() == 0: os.setgroups([]); os.setgid(12345); os.setuid(12345)
else: os.chmod(root / ".leases" / "key", 0o444)
try:
    with StageStore(root).lease("key"): pass
except PermissionError as error: print("FAULT: a row whose stages are all finished and readable fails:", error); sys.exit(1)
E
