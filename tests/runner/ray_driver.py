"""Runs an experiment on a cluster of two Ray nodes and kills one of them at random moments; for `test_ray_executor.py`.

    python ray_driver.py KILLS SEED SECONDS STORE ARGUMENT ...     python -m benchmark ARGUMENT ... --address CLUSTER

A node is killed KILLS times, each after up to SECONDS, and a new one comes. The exit code is that of the run. Each kill
is a line of JSON: whether the run had ended, and the keys of the stages in STORE that were in training.
"""

import json
import os
import random
import secrets
import subprocess
import sys
import time
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main() -> int:
    """Start the cluster, the run and the kills; return the exit code of the run."""
    kills, seed, seconds, store = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    chosen = random.Random(seed)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES})
    worker = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    command = [sys.executable, "-m", "benchmark", *sys.argv[5:], "--address", str(cluster.address)]
    with subprocess.Popen(command) as run:
        for number in range(kills):
            time.sleep(chosen.uniform(seconds / 2, seconds))
            has_ended, stages = run.poll() is not None, in_training(store)
            cluster.remove_node(worker, allow_graceful=False)
            stages |= in_training(store)  # one may have begun while the node was being killed
            print(json.dumps({"kill": number + 1, "has_ended": has_ended, "in_training": sorted(stages)}), flush=True)
            worker = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        code = run.wait()
    cluster.shutdown()
    return code


def in_training(store: Path) -> set[str]:
    """Return the keys of the stages whose lease is held, and which are not finished."""
    held = {beat.name.split(".")[0] for beat in (store / ".leases").glob("*.beat") if beat.read_text() != "released"}
    return {key for key in held if not (store / key / "meta.json").exists()}


if __name__ == "__main__":
    sys.exit(main())
