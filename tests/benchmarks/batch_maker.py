"""Training patches a second from the cache, by the number of threads that make batches:

    OMP_NUM_THREADS=1 python tests/benchmarks/batch_maker.py 256

Patches of 256 px (or the given side) of drawn faces of 512 px, with the augmentations of stage 1 of gunet_full. Prints
one line of JSON for each number of threads, with and without the true maps K and D, which only losses of maps need:
patches a second, and patches a second of CPU time (of one core).
"""

import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

FACES, BATCH, BATCHES = 24, 8, 60
THREADS = (1, 2, 4)


def main(patch: int) -> None:
    from benchmark.data.augmentations.flip import Flip
    from benchmark.data.augmentations.rotate90 import Rotate90
    from benchmark.data.cache import cached
    from benchmark.data.sampling import Sampler
    from benchmark.data.sources.synthetic_faces import SyntheticFaces
    from benchmark.inference.device_setup import configure_process

    configure_process(1, keep_memory=True)
    with tempfile.TemporaryDirectory() as folder:
        source = cached(SyntheticFaces(count=FACES, size=512), Path(folder), 1)
        for with_maps in (False, True):
            sampler = Sampler(source, 0, "coarse", patch, [Flip(), Rotate90()], with_maps)
            made = {"patch_px": patch, "with_maps": with_maps}
            for threads in THREADS:
                print(json.dumps(made | {"threads": threads} | rates(sampler, threads)), flush=True)


def rates(sampler: object, threads: int) -> dict[str, int]:
    """Return patches a second of wall clock and of CPU time, as a training step takes them."""
    from benchmark.training.batches import BatchMaker, host_batches

    batches = host_batches(sampler, range(1, BATCHES + 1), BATCH, maker=BatchMaker(threads))
    wall, cpu = time.perf_counter(), time.process_time()
    made = BATCH * sum(1 for _ in batches)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"patches_per_s": round(made / wall), "patches_per_cpu_s": round(made / cpu)}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
