"""The programs of SLURM that the project calls, for tests: they keep a queue in a folder, `$SLURM_STAND_IN`.

    python slurm_stand_in.py sbatch|squeue|scontrol|scancel ARGUMENT ...

`Cluster` in clusters.py executes what was submitted. The stand-in refuses what SLURM refuses: a partition that does
not exist, and a dependency on a job that was never submitted.
"""

import json
import os
import sys
from pathlib import Path

QUEUE = Path(os.environ["SLURM_STAND_IN"])


def sbatch(arguments: list[str]) -> None:
    options: dict[str, str] = {}
    while arguments and arguments[0].startswith("--"):
        name, _, value = arguments.pop(0).partition("=")
        options[name] = value
    script, *others = arguments
    if options.get("--partition") == "none":
        sys.exit("sbatch: error: invalid partition specified: none")
    header = [line.split(maxsplit=1)[1] for line in Path(script).read_text().splitlines() if line.startswith("#SBATCH")]
    kind, _, waits = options.get("--dependency", "").partition(":")
    after = waits.split(":") if waits else []
    if kind not in ("", "afterany") or not all((QUEUE / f"{job}.json").exists() for job in after):
        sys.exit("sbatch: error: Batch job submission failed: Job dependency problem")
    number = len([*QUEUE.glob("*.json")]) + 1
    job = {
        "name": options["--job-name"], "after": after, "script": script, "arguments": others, "header": header,
        "options": options,
    }  # fmt: skip
    temporary = QUEUE / "submitting"
    temporary.write_text(json.dumps(job))
    temporary.rename(QUEUE / f"{number}.json")
    print(f"{number};cluster" if "--parsable" in options else f"Submitted batch job {number}")


def squeue(_arguments: list[str]) -> None:
    for file in QUEUE.glob("*.json"):
        if not file.with_suffix(".ended").exists():
            print(file.stem)


def scontrol(arguments: list[str]) -> None:
    command, job = arguments
    assert command == "requeue" and (QUEUE / f"{job}.json").exists()
    (QUEUE / f"{job}.requeue").touch()


def scancel(jobs: list[str]) -> None:
    for job in jobs:
        (QUEUE / f"{job}.cancel").touch()


if __name__ == "__main__":
    {"sbatch": sbatch, "squeue": squeue, "scontrol": scontrol, "scancel": scancel}[sys.argv[1]](sys.argv[2:])
