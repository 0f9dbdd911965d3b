"""The jobs of a run as plan.json has them, and how far each is, as the store and the folder of the run show it.

Any process that sees both folders knows all of this.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchmark.errors import RecordError, shown, suggestion
from benchmark.experiment.plan import id_of_test
from benchmark.runner.job_notes import JobNotes
from benchmark.runner.record_writer import is_finished
from benchmark.runner.row_leases import leases_of
from benchmark.runner.stage_store import StageStore
from reports.schema import PlanFile, PlanRow

Kind = Literal["network", "baseline", "stage", "row"]
State = Literal["waiting", "ready", "running", "done", "failed"]
_LEAST_OF_ID = 6
"""Characters of an id that may stand for it."""


@dataclass(frozen=True)
class ListedJob:
    """A job of a plan."""

    id: str
    kind: Kind
    name: str
    """For people: `base/seed0`, `base/seed0/coarse`, `identity`, `base/network`."""
    needs: tuple[str, ...]
    """Ids of the jobs that must be done before."""
    rows: tuple[str, ...]
    """Folders of the rows that need it, the first of which it works for."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.id[:8]})"


@dataclass(frozen=True)
class JobStatus:
    """How far a job is."""

    state: State
    detail: str = ""
    """For what it waits, who carries it out, why it failed."""


@dataclass(frozen=True)
class JobList:
    """The jobs of the rows that were chosen, and of the baselines; read the plan anew for a later state."""

    plan: PlanFile
    output: Path
    """Folder of the run."""
    store: StageStore
    is_trial: bool = False
    """The rows are scored on val, not on test, and any failed gate rejects them."""

    @cached_property
    def jobs(self) -> dict[str, ListedJob]:
        """All jobs by id, each behind those it needs: networks, baselines, then row by row and seed by seed."""
        rows = [row for row in self.plan.rows if row.kind == "trained"]
        chosen = [(row, seed) for seed in self.plan.seeds for row in rows if self._is_chosen(row, seed)]
        jobs: dict[str, ListedJob] = {}
        for row, seed in chosen:
            _add(jobs, ListedJob(row.network, "network", f"{row.row}/network", (), (_folder(row, seed),)))
        for row in self.plan.rows:
            if row.kind == "baseline":
                id = id_of_test(row.row, row.config_hashes[""])
                _add(jobs, ListedJob(id, "baseline", row.row, (), (row.row,)))
        for row, seed in chosen:
            folder, needs, taught = _folder(row, seed), [row.network], tuple[str, ...]()
            for source in (*self._teachers(row), row):
                before = row.network
                for stage in source.stages:
                    key, name = stage.keys[str(seed)], f"{_folder(source, seed)}/{stage.name}"
                    # What rows with other gates need, too, waits for the first of the networks alone.
                    _add(jobs, ListedJob(key, "stage", name, (before, *taught), (folder,)))
                    needs.append(before := key)
                taught = (before,)
            id = id_of_test(folder, row.config_hashes[str(seed)])
            _add(jobs, ListedJob(id, "row", folder, tuple(needs), (folder,)))
        return jobs

    def find(self, text: str) -> ListedJob:
        """Return the job with an id, a name, or an id that begins like this. Raises RecordError if it is none of them.

        A row's name is that of its folder.
        """
        matching = [
            job
            for job in self.jobs.values()
            if text in (job.id, job.name) or (len(text) >= _LEAST_OF_ID and job.id.startswith(text))
        ]
        if len(matching) == 1:
            return matching[0]
        nearest = suggestion(text, [job.name for job in self.jobs.values()])
        short = f"; of an id give {_LEAST_OF_ID} characters or more" if len(text) < _LEAST_OF_ID else ""
        reason = f"{len(matching)} jobs begin so; give more of the id" if matching else f"no such job; {nearest}{short}"
        raise RecordError(f"{self.output / 'plan.json'}: {shown(text)}: {reason}; --list shows all jobs")

    def status(self, job: ListedJob, *, verify: bool = False) -> JobStatus:
        """Return how far a job is.

        Args:
            job: One of `jobs`.
            verify: Compare the SHA-256 of a stored stage, too.
        """
        if self._is_done(job, verify=verify):
            return JobStatus("done")
        if owner := self._holder(job):
            return JobStatus("running", f"by {owner}")
        if failure := self.notes.read(job.id).failure:
            return JobStatus("failed", failure.message)
        if failed := self._failed_need(job):
            return JobStatus("failed", f"needs {failed}, which failed")
        missing = self.missing_needs(job, verify=verify)
        return JobStatus("waiting", f"for {', '.join(map(str, missing))}") if missing else JobStatus("ready")

    def missing_needs(self, job: ListedJob, *, verify: bool = False) -> list[ListedJob]:
        """Return the jobs that a job needs and that are not done; `verify`: as in `status`."""
        return [self.jobs[need] for need in job.needs if not self._is_done(self.jobs[need], verify=verify)]

    def unfinished_rows(self, job: ListedJob) -> list[str]:
        """Return the folders of the rows that need a job and are neither finished nor rejected."""
        return [folder for folder in job.rows if folder not in self._ended]

    @property
    def notes(self) -> JobNotes:
        """What the jobs have noted."""
        return JobNotes(self.output)

    @cached_property
    def _ended(self) -> frozenset[str]:
        hashes = {
            row.row if seed is None else _folder(row, seed): row.config_hashes["" if seed is None else str(seed)]
            for row in self.plan.rows
            for seed in row.seeds
        }
        return frozenset(
            row for row, config_hash in hashes.items() if is_finished(self.output / row, config_hash, replace=True)
        )

    def _teachers(self, row: PlanRow) -> list[PlanRow]:
        """Return the row that a row learns from; none if there is none."""
        distil = row.recipe.get("model", {}).get("compress", {}).get("distil", {})
        return [other for other in self.plan.rows if other.row == distil.get("row")]

    def _is_chosen(self, row: PlanRow, seed: int) -> bool:
        return seed in row.seeds and (self.plan.chosen is None or _folder(row, seed) in self.plan.chosen)

    def _is_done(self, job: ListedJob, *, verify: bool) -> bool:
        """Return whether a job is done, or nothing needs it any more."""
        if not self.unfinished_rows(job):
            return True
        if job.kind == "network":
            return self.notes.read(job.id).cost is not None
        return job.kind == "stage" and self.store.finished(job.id, verify=verify) is not None

    def _holder(self, job: ListedJob) -> str | None:
        if job.kind == "stage":
            return self.store.holder(job.id)
        leases, name = leases_of(lease_path(job), self.output, self.store)
        return leases.holder(name)

    def _failed_need(self, job: ListedJob) -> ListedJob | None:
        """Return a failed job that this one needs, perhaps through others."""
        for need in (self.jobs[need] for need in job.needs):
            if not self._is_done(need, verify=False):
                failed = need if self.notes.read(need.id).failure else self._failed_need(need)
                if failed:
                    return failed
        return None


def lease_path(job: ListedJob) -> str:
    """Return the name under which a job of the kinds network, row or baseline has its lease; see `leases_of`."""
    return f"networks/{job.id}" if job.kind == "network" else job.name


def _add(jobs: dict[str, ListedJob], job: ListedJob) -> None:
    """Add a job, or a row to those that need it."""
    present = jobs.setdefault(job.id, job)
    if job.rows[0] not in present.rows:
        jobs[job.id] = replace(present, rows=(*present.rows, *job.rows))


def _folder(row: PlanRow, seed: int) -> str:
    return f"{row.row}/seed{seed}"
