"""Carry out one job of a plan, in this process: what Slurm, Ray or a loop in a shell starts for each of its tasks."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from benchmark.errors import RecordError
from benchmark.experiment.load import Row
from benchmark.experiment.plan import PlannedBaseline, PlannedRow, new_planner
from benchmark.inference.device_setup import Machine
from benchmark.registry import Registry
from benchmark.runner.context import Context, environment, open_sources, with_cached_sources
from benchmark.runner.events import (
    Event,
    GatesChecked,
    JobDied,
    JobEvent,
    JobFailed,
    JobFinished,
    JobPruned,
    JobStopped,
    MeasuredModel,
    OnEvent,
    RowAwaited,
    RowStarted,
    StageFinished,
)
from benchmark.runner.job_list import JobList, JobNote, Kind, ListedJob, lease_path
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage, failure_of_row, rejection_of, run_job
from benchmark.runner.plan_file import planned_rows
from benchmark.runner.preflight import memory_shortfall
from benchmark.runner.record_writer import write_test_pairs
from benchmark.runner.row import RowProgress, describe_gate, end_untested, leases_of, tests_of
from benchmark.runner.scheduler import RETRIES
from reports.schema import Failure, PlanFile

_SPLITS: Mapping[Kind, tuple[str, ...]] = {
    "network": (),
    "stage": ("train", "val"),
    "row": ("val", "test"),
    "baseline": ("train", "test"),
}
"""The images that a job reads."""
_REMEDY = "write the plan anew: python -m benchmark plan FILE --write"
AnyRow = PlannedRow | PlannedBaseline


def carry_out(
    job: ListedJob, jobs: JobList, machine: Machine, registry: Registry, command: str, on_event: OnEvent
) -> Failure | None:
    """Carry out a job that is ready, or that failed before; return why it failed, None if it is done.

    A failed job ends the rows that need it, and their records say so. While another process carries it out, this one
    waits, and takes what that one made.

    Args:
        job: One of `jobs`.
        jobs: All jobs of the plan.
        machine: What this process computes on.
        registry: Knows the components that the rows name.
        command: The command line, for the record.
        on_event: Called with everything that happens.

    Raises:
        RecordError: The plan is for another kind of device, version of torch, or state of data and code.
        OSError: The disk is full.
    """
    rows = planned_rows(jobs.plan, jobs.output, registry)
    needing = [rows[folder] for folder in jobs.unfinished_rows(job)]
    row = needing[0]
    data = {row.row: row.recipe.splits if isinstance(row, PlannedRow) else {**row.data, **row.more_tests}}
    sources = open_sources(data, registry)
    metrics = jobs.plan.metrics
    context = Context(jobs.plan.experiment, jobs.output, jobs.store, machine, registry, command, sources, metrics)
    _check_same(row, rows, jobs.plan, context)
    context = with_cached_sources(data, context, on_event, _SPLITS[job.kind])
    if job.kind in ("row", "baseline"):
        write_test_pairs(context.output / "pairs", tests_of(row, context))
    on_event(RowStarted(row.folder))
    if job.kind != "network":
        return _carry_out(_typed(job, row, jobs), needing, jobs, context, on_event)
    leases, name = leases_of(lease_path(job), context.output, context.store)
    with leases.claim(
        name, lambda: jobs.note(job.id).cost is not None, lambda owner: on_event(RowAwaited(row.folder, owner))
    ) as lease:
        return _carry_out(_typed(job, row, jobs), needing, jobs, context, on_event) if lease is not None else None


def _check_same(row: AnyRow, rows: Mapping[str, AnyRow], plan: PlanFile, context: Context) -> None:
    """Raise RecordError where this process would make something else of a row than the plan says."""
    file, here = context.output / "plan.json", environment(context.machine.device)
    facts = {
        name: (str(plan.environment.get(name)), str(getattr(here, name))) for name in ("device", "torch", "engine")
    }
    if differing := [f"{name} {planned}, here {own}" for name, (planned, own) in facts.items() if planned != own]:
        raise RecordError(f"{file}: is for {'; '.join(differing)}; use what it was made with, or {_REMEDY}")
    fingerprints = {identity: source.fingerprint for identity, source in context.sources.items()}
    recipes = {other.row: other.recipe for other in rows.values() if isinstance(other, PlannedRow)}
    if isinstance(row, PlannedRow) and row.teacher:
        recipes[row.teacher.row] = row.teacher.recipe
    planner = new_planner(fingerprints, here, context.registry, context.metrics, recipes)
    if isinstance(row, PlannedRow):
        again = planner.row(Row(row.row, row.table, row.recipe), row.seed)
        if again.config_hash == row.config_hash and _names_of(again) != _names_of(row):
            raise RecordError(f"{file}: is damaged: {row.folder} has other stages than its recipe; {_REMEDY}")
    else:
        base = next(other for other in rows.values() if isinstance(other, PlannedRow))
        again = planner.baseline(row.row, base.recipe)
    if again.config_hash != row.config_hash:
        raise RecordError(
            f"{file}: {row.folder}: the data or the code of a component are no longer those of the plan; "
            f"bring them back, or {_REMEDY}"
        )


def _names_of(row: PlannedRow) -> tuple[object, ...]:
    """Return under what names its stages and its network are stored, those of its teacher, too."""
    return (row.network, *((stage.name, stage.key) for stage in row.stages_with_teacher))


def _typed(job: ListedJob, row: AnyRow, jobs: JobList) -> Job:
    """Return a job as a worker carries it out."""
    if isinstance(row, PlannedRow) and job.kind == "network":
        return MeasureNetwork(row)
    if isinstance(row, PlannedRow) and job.kind == "stage":
        return TrainStage(row, next(stage for stage in row.stages_with_teacher if stage.key == job.id))
    return TestRow(row, _progress(row, jobs))


def _progress(row: AnyRow, jobs: JobList) -> RowProgress:
    """Return what earlier jobs noted for a row."""
    if isinstance(row, PlannedBaseline):
        return RowProgress()
    notes = {stage.key: jobs.note(stage.key) for stage in row.stages}
    own = {key: note for key, note in notes.items() if note.row == row.folder and note.failure is None}
    started = min((datetime.fromisoformat(note.started) for note in own.values()), default=None)
    network = jobs.note(row.network)
    return RowProgress(
        measured=MeasuredModel(network.cost, network.gates) if network.cost else None,
        trained=frozenset(own),
        started=started,
        seconds=sum(note.seconds for note in own.values()),
    )


def _carry_out(
    job: Job, needing: Sequence[AnyRow], jobs: JobList, context: Context, on_event: OnEvent
) -> Failure | None:
    """Carry out a job, note what came of it, and end the rows that it rejects or fails; return why it failed."""
    note = JobNote(row=job.row.folder, started=datetime.now(UTC).isoformat(timespec="seconds"))
    end, has_trained = _end_of(job, context, on_event)
    match end:
        case JobStopped(error=error):
            raise error
        case JobFinished(seconds=seconds, measured=measured):
            facts = {"cost": measured.cost, "gates": measured.gates} if measured else {}
            if has_trained or not isinstance(job, TrainStage):  # else another process trained it, and has noted that
                jobs.write_note(job.id, note.model_copy(update={"seconds": seconds, **facts}))
            if measured:
                on_event(GatesChecked(job.row.folder, tuple(map(describe_gate, measured.gates))))
            if measured and (rejection := rejection_of(measured, is_trial=False)):
                for row in needing:
                    end_untested(row, "rejected", rejection, "", _progress(row, jobs), context, on_event)
            return None
        case JobFailed(failure=failure, traceback=traceback):
            pass
        case JobDied(reason=reason) | JobPruned(reason=reason):  # nothing is pruned outside a search
            failure, traceback = Failure(message=reason), ""
    jobs.write_note(job.id, note.model_copy(update={"failure": failure}))
    for row in needing:
        reason = failure_of_row(row, job, failure, traceback)
        end_untested(row, "failed", *reason, _progress(row, jobs), context, on_event)
    return failure


def _end_of(job: Job, context: Context, on_event: OnEvent) -> tuple[JobEvent, bool]:
    """Carry out a job, again if this process lost it to another one; return its end, and whether it trained a stage."""
    if isinstance(job, TrainStage) and (shortfall := memory_shortfall(job.row, context)):
        return JobFailed(job.id, Failure(message=shortfall), ""), False
    ends: list[JobEvent] = []
    has_trained = False

    def handle(event: Event | JobEvent) -> None:
        nonlocal has_trained
        if isinstance(event, JobEvent):
            ends.append(event)
        else:
            has_trained = has_trained or isinstance(event, StageFinished)
            on_event(event)

    while len(ends) <= RETRIES and all(isinstance(end, JobDied) for end in ends):
        run_job(job, context, handle)
    return ends[-1], has_trained
