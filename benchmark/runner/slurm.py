"""SLURM as executor: one SLURM job for each job of a plan, and a follow-up job that goes on when all have ended.

Nothing stays behind on the login node: the store is the truth, and each SLURM job runs `python -m benchmark job`, which
checks that what it needs is stored. So a job waits for the end of those it needs (`afterany`), not for their success:
after `afterok`, one failed row would leave the jobs behind it pending for ever.
"""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError, shown
from benchmark.files import write_json, write_text
from benchmark.interrupts import EXIT_RESUME
from benchmark.runner.job_list import JobList, ListedJob
from benchmark.runner.scheduler import RETRIES

SIGNAL_SECONDS = 120
"""How long before its time limit a job is asked to store its state; SLURM may ask up to a minute earlier."""
_GPU_CPUS = 4
"""Cores beside a GPU: they cut and augment patches."""
_FOLDER = ".slurm"
"""In the folder of a run: the script, the logs, and what was submitted."""

_SCRIPT = """\
#!/usr/bin/env bash
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{signal_seconds}
#SBATCH --output={log}
#SBATCH {resources}
# One job of a plan: its arguments are those of `python -m benchmark`. Before the time limit SLURM sends USR1; the job
# then stores its state, ends with code {resume}, and is queued again.
cd {folder} || exit
{python} -m benchmark "$@" &
job=$!
trap 'kill -TERM $job; wait $job; code=$?; [ $code = {resume} ] && scontrol requeue $SLURM_JOB_ID; exit $code' USR1
wait $job
"""


@dataclass(frozen=True)
class SlurmJob:
    """What one call of sbatch submits."""

    id: str
    """Of the job in the plan; of a follow-up its name."""
    name: str
    needs: tuple[str, ...]
    """Ids of the jobs that must have ended before; those that are not submitted are no obstacle."""
    arguments: tuple[str, ...]
    """Of `python -m benchmark`."""


def pending_jobs(jobs: JobList, submissions: Mapping[str, int] | None = None) -> list[ListedJob]:
    """Return the jobs of a plan that are to be submitted, in its order.

    Args:
        jobs: All jobs of the plan.
        submissions: For a follow-up: how often each job was submitted. What failed is then left alone, and what ended
            without a result is tried again twice. None: a user submits, and all that is not done is tried.
    """
    states = {job: jobs.status(job).state for job in jobs.jobs.values()}
    return [
        job
        for job, state in states.items()
        if state != "done" and (submissions is None or (state != "failed" and submissions.get(job.id, 0) <= RETRIES))
    ]


def slurm_jobs(
    pending: Sequence[ListedJob], output: Path, options: Sequence[str], follow_up: Sequence[str]
) -> list[SlurmJob]:
    """Return what is to be submitted: each pending job behind those it needs, then the follow-up behind all.

    Args:
        pending: Jobs of a plan that are not done, in its order.
        output: Folder of the run.
        options: Arguments of each job beside its id.
        follow_up: Arguments of the command that goes on when all have ended.
    """
    jobs = [
        SlurmJob(job.id, slurm_name(output, job.name), job.needs, ("job", str(output), job.id, *options))
        for job in pending
    ]
    needed = {need for job in pending for need in job.needs}
    ends = tuple(job.id for job in pending if job.id not in needed)
    return [*jobs, SlurmJob("follow-up", slurm_name(output, "follow-up"), ends, tuple(follow_up))]


def job_script(output: Path, *, has_gpu: bool, threads: int, python: str = sys.executable) -> str:
    """Return the script that all SLURM jobs of a run share; it begins in the current folder.

    Args:
        output: Folder of the run.
        has_gpu: Each job has a GPU.
        threads: CPU threads of a job without one.
        python: The interpreter.
    """
    resources = f"--gres=gpu:1 --cpus-per-task={_GPU_CPUS}" if has_gpu else f"--cpus-per-task={threads}"
    return _SCRIPT.format(
        signal_seconds=SIGNAL_SECONDS,
        log=output.absolute() / _FOLDER / "%x.%j.log",
        resources=resources,
        resume=EXIT_RESUME,
        folder=shlex.quote(str(Path.cwd())),
        python=shlex.quote(python),
    )


def script_file(output: Path) -> Path:
    """Return the path of the script in the folder of a run."""
    return output / _FOLDER / "job.sh"


def sbatch_command(job: SlurmJob, script: Path, options: Sequence[str], slurm_ids: Mapping[str, str]) -> list[str]:
    """Return the call of sbatch for a job; `slurm_ids`: SLURM's ids of the jobs that are submitted, by their own."""
    waits = list(dict.fromkeys(slurm_ids[need] for need in job.needs if need in slurm_ids))
    dependency = [f"--dependency=afterany:{':'.join(waits)}"] if waits else []
    return ["sbatch", "--parsable", f"--job-name={job.name}", *dependency, *options, str(script), *job.arguments]


def submission_script(jobs: Sequence[SlurmJob], output: Path, script: str, options: Sequence[str]) -> str:
    """Return the script of a shell that submits jobs, each behind those it needs."""
    file = script_file(output)
    lines = [f"mkdir -p {shlex.quote(str(file.parent))}", f"cat > {shlex.quote(str(file))} <<'END'", f"{script}END"]
    variables: dict[str, str] = {}
    for number, job in enumerate(jobs, 1):
        call = sbatch_command(job, file, options, variables)
        quoted = [part if part.startswith("--dependency=") else shlex.quote(part) for part in call]
        lines.append(f"j{number}=$({' '.join(quoted)})")
        variables[job.id] = f"${{j{number}%;*}}"  # behind the id may stand the name of the cluster
    return "\n".join(lines)


@dataclass(frozen=True)
class SlurmQueue:
    """The queue of a cluster, and what was submitted to it for a run."""

    output: Path
    """Folder of the run."""

    def submit(self, jobs: Sequence[SlurmJob], script: str, options: Sequence[str]) -> int:
        """Submit the jobs that are not in the queue; return how many were.

        The last one, the follow-up, is submitted again where others are: it waits for them, too.

        Raises:
            BenchmarkError: SLURM is not installed here, or refuses a job. What was submitted before stays submitted.
        """
        file, count = script_file(self.output), 0
        write_text(file, script)
        queued = self.queued()
        for job in jobs:
            if job.id in queued and not (job is jobs[-1] and count):
                continue
            result = _call(sbatch_command(job, file, options, queued), f"{count} jobs were submitted")
            queued[job.id] = result.strip().partition(";")[0]  # behind it, the name of the cluster
            self._write([*self._submitted(), (job.id, queued[job.id])])
            count += 1
        return count

    def queued(self) -> dict[str, str]:
        """Return SLURM's ids of the jobs of this run that wait or run, by their own ids. Raises BenchmarkError."""
        present = set(_call(["squeue", "--me", "--noheader", "--format=%i"], "nothing was submitted").split())
        return {job: slurm_id for job, slurm_id in self._submitted() if slurm_id in present}

    def submissions(self) -> Counter[str]:
        """Return how often each job was submitted since a user did so, by its own id."""
        return Counter(job for job, _ in self._submitted())

    def last_id(self, job: str) -> str:
        """Return SLURM's id of the last submission of a job, by its own id."""
        return dict(self._submitted())[job]

    def cancel(self, slurm_ids: Sequence[str]) -> None:
        """Take jobs out of the queue, by SLURM's ids. Raises BenchmarkError."""
        if slurm_ids:
            _call(["scancel", *slurm_ids], "nothing was cancelled")

    def forget_ended(self) -> None:
        """Begin to count anew, since a user submits. Raises BenchmarkError."""
        self._write([*self.queued().items()])

    def _submitted(self) -> list[tuple[str, str]]:
        if not self._file.exists():
            return []
        return [(str(job), str(slurm_id)) for job, slurm_id in json.loads(self._file.read_text(encoding="utf-8"))]

    def _write(self, submitted: Sequence[tuple[str, str]]) -> None:
        write_json(self._file, submitted)

    @property
    def folder(self) -> Path:
        """The script, the logs, and what was submitted."""
        return self.output.absolute() / _FOLDER

    @property
    def _file(self) -> Path:
        return self.folder / "submitted.json"


def _call(command: Sequence[str], so_far: str) -> str:
    """Call a program of SLURM and return what it prints. Raises BenchmarkError where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchmarkError(
            f"--executor slurm: {command[0]} is not installed here; run this on a login node of the cluster, "
            "or see what would be submitted by --dry-run"
        ) from None
    if done.returncode:
        reason = shown((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        raise BenchmarkError(
            f"{shown(shlex.join(command))}: {reason}; {so_far}; the options for sbatch are those of --sbatch, "
            "and the same command submits the rest"
        )
    return done.stdout


def slurm_name(output: Path, name: str) -> str:
    """Return the name of a SLURM job, which is part of the name of its log."""
    return re.sub(r"[^\w.=+-]", ".", f"{output.name}.{name}")
