"""Runs an experiment on a cluster of two Ray nodes and kills one of them at random moments; for `test_ray_executor.py`.

    python ray_driver.py KILLS SEED SECONDS ARGUMENT ...     python -m benchmark ARGUMENT ... --address CLUSTER

A node is killed KILLS times, each after up to SECONDS, and a new one comes. The exit code is that of the run.
"""

import os
import random
import secrets
import subprocess
import sys
import time

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main() -> int:
    """Start the cluster, the run and the kills; return the exit code of the run."""
    kills, seed, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    chosen = random.Random(seed)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES})
    worker = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    command = [sys.executable, "-m", "benchmark", *sys.argv[4:], "--address", cluster.address]
    with subprocess.Popen(command) as run:
        for number in range(kills):
            time.sleep(chosen.uniform(seconds / 2, seconds))
            print(f"kill {number + 1}: the run has {'ended' if run.poll() is not None else 'not ended'}", flush=True)
            cluster.remove_node(worker, allow_graceful=False)
            worker = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        code = run.wait()
    cluster.shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
