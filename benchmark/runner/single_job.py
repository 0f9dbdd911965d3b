"""Carry out one job of a plan, in this process: what Slurm, Ray or a loop in a shell starts for each of its tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmark.errors import RecordError
from benchmark.experiment.load import Row
from benchmark.experiment.plan import PlannedBaseline, PlannedRow, new_planner
from benchmark.inference.device_setup import Machine
from benchmark.registry import Registry
from benchmark.runner.context import Context, environment, fingerprints_of, open_sources, with_cached_sources
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
    StagePruned,
    StageValidated,
)
from benchmark.runner.job_list import JobList, Kind, ListedJob, lease_path
from benchmark.runner.job_notes import JobNote, PruningNote, ValidationNote
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage, failure_of_row, rejection_of, run_job
from benchmark.runner.plan_file import planned_rows
from benchmark.runner.preflight import memory_shortfall
from benchmark.runner.pruning_rules import Rule, Validation
from benchmark.runner.record_writer import write_test_pairs
from benchmark.runner.row import RowProgress, describe_gate, end_untested, tests_of
from benchmark.runner.row_leases import leases_of
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
    job: ListedJob,
    jobs: JobList,
    machine: Machine,
    registry: Registry,
    command: str,
    on_event: OnEvent,
    rule: Rule | None = None,
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
        rule: May end a stage before its last step. The note of the job says so then; the row is left to its search.

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
    context = with_cached_sources(data, context, on_event, ("train", "val") if jobs.is_trial else _SPLITS[job.kind])
    if job.kind in ("row", "baseline") and not jobs.is_trial:
        write_test_pairs(context.output / "pairs", tests_of(row, context))
    on_event(RowStarted(row.folder))
    if job.kind != "network":
        return _carry_out(_typed(job, row, jobs, rule), needing, jobs, context, on_event)
    leases, name = leases_of(lease_path(job), context.output, context.store)
    with leases.claim(
        name, lambda: jobs.notes.read(job.id).cost is not None, lambda owner: on_event(RowAwaited(row.folder, owner))
    ) as lease:
        return _carry_out(_typed(job, row, jobs, None), needing, jobs, context, on_event) if lease else None


def _check_same(row: AnyRow, rows: Mapping[str, AnyRow], plan: PlanFile, context: Context) -> None:
    """Raise RecordError where this process would make something else of a row than the plan says."""
    file, here = context.output / "plan.json", environment(context.machine.device)
    facts = {
        name: (str(plan.environment.get(name)), str(getattr(here, name))) for name in ("device", "torch", "engine")
    }
    if differing := [f"{name} {planned}, here {own}" for name, (planned, own) in facts.items() if planned != own]:
        raise RecordError(f"{file}: is for {'; '.join(differing)}; use what it was made with, or {_REMEDY}")
    recipes = {other.row: other.recipe for other in rows.values() if isinstance(other, PlannedRow)}
    if isinstance(row, PlannedRow) and row.teacher:
        recipes[row.teacher.row] = row.teacher.recipe
    planner = new_planner(fingerprints_of(context), here, context.registry, context.metrics, recipes)
    if isinstance(row, PlannedRow):
        again = planner.row(Row(row.row, row.table, row.recipe), row.seed)
        if again.config_hash == row.config_hash and _names_of(again) != _names_of(row):
            raise RecordError(f"{file}: is damaged: {row.folder} has other stages than its recipe; {_REMEDY}")
    else:
        base = next(other for other in rows.values() if isinstance(other, PlannedRow))
        again = planner.baseline(row.row, base.recipe)
    if again.config_hash != row.config_hash:
        raise RecordError(f"{file}: {row.folder}: {_cause(row.inputs, again.inputs)}, or {_REMEDY}")


def _cause(planned: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return why a row would get another hash than in the plan, given what it depends on beside its recipe."""
    if not planned:
        return "its data, its recipe or the code of a component are no longer those of the plan; bring them back"
    if changed := [name for name in {**planned, **here} if planned.get(name) != here.get(name)]:
        return f"changed since the plan was written: {', '.join(changed)}; bring it back"
    return "its recipe does not give the hash that the plan has for it, so one of them was edited; undo that"


def _names_of(row: PlannedRow) -> tuple[object, ...]:
    """Return under what names its stages and its network are stored, those of its teacher, too."""
    return (row.network, *((stage.name, stage.key) for stage in row.stages_with_teacher))


def _typed(job: ListedJob, row: AnyRow, jobs: JobList, rule: Rule | None) -> Job:
    """Return a job as a worker carries it out."""
    if isinstance(row, PlannedRow) and job.kind == "network":
        return MeasureNetwork(row)
    if isinstance(row, PlannedRow) and job.kind == "stage":
        return TrainStage(row, next(stage for stage in row.stages_with_teacher if stage.key == job.id), rule)
    return TestRow(row, _progress(row, jobs))


def _progress(row: AnyRow, jobs: JobList) -> RowProgress:
    """Return what earlier jobs noted for a row."""
    if isinstance(row, PlannedBaseline):
        return RowProgress()
    notes = {stage.key: jobs.notes.read(stage.key) for stage in row.stages}
    own = {key: note for key, note in notes.items() if note.row == row.folder and note.failure is None}
    started = min((datetime.fromisoformat(note.started) for note in own.values()), default=None)
    network = jobs.notes.read(row.network)
    return RowProgress(
        measured=MeasuredModel(network.cost, network.gates) if network.cost else None,
        trained=frozenset(own),
        started=started,
        seconds=sum(note.seconds for note in own.values()),
        is_trial=jobs.is_trial,
    )


def _carry_out(
    job: Job, needing: Sequence[AnyRow], jobs: JobList, context: Context, on_event: OnEvent
) -> Failure | None:
    """Carry out a job, note what came of it, and end the rows that it rejects or fails; return why it failed."""
    note = JobNote(row=job.row.folder, started=datetime.now(UTC).isoformat(timespec="seconds"))
    end, trained = _end_of(job, context, on_event)
    note = note.model_copy(update={"validations": tuple(map(ValidationNote.of, trained.validations))})
    match end:
        case JobStopped(error=error):
            raise error
        case JobFinished(seconds=seconds, measured=measured):
            facts = {"cost": measured.cost, "gates": measured.gates} if measured else {}
            if trained.is_finished or not isinstance(job, TrainStage):  # else another process did, and has noted that
                jobs.notes.write(job.id, note.model_copy(update={"seconds": seconds, **facts}))
            if measured:
                _reject(job.row.folder, measured, needing, jobs, context, on_event)
            return None
        case JobPruned(validation=validation, reason=reason):
            point = ValidationNote.of(validation)
            pruning = PruningNote(validation=point, reason=reason, steps=trained.steps_before_pruning)
            jobs.notes.write(job.id, note.model_copy(update={"pruning": pruning}))
            return None
        case JobFailed(failure=failure, traceback=traceback):
            pass
        case JobDied(reason=reason):
            failure, traceback = Failure(message=reason), ""
    jobs.notes.write(job.id, note.model_copy(update={"failure": failure}))
    for row in needing:
        reason = failure_of_row(row, job, failure, traceback)
        end_untested(row, "failed", *reason, _progress(row, jobs), context, on_event)
    return failure


def _reject(
    folder: str, measured: MeasuredModel, needing: Sequence[AnyRow], jobs: JobList, context: Context, on_event: OnEvent
) -> None:
    """End the rows whose network fails a gate that rejects. `folder`: of the row that it was measured for."""
    on_event(GatesChecked(folder, tuple(map(describe_gate, measured.gates))))
    if rejection := rejection_of(measured, is_trial=jobs.is_trial):
        for row in needing:
            end_untested(row, "rejected", rejection, "", _progress(row, jobs), context, on_event)


@dataclass
class _Trained:
    """What a job did for a stage."""

    is_finished: bool = False
    validations: list[Validation] = field(default_factory=list[Validation])
    steps_before_pruning: int = 0


def _end_of(job: Job, context: Context, on_event: OnEvent) -> tuple[JobEvent, _Trained]:
    """Carry out a job, again if this process lost it to another one; return its end, and what it trained."""
    trained = _Trained()
    if isinstance(job, TrainStage) and (shortfall := memory_shortfall(job.row, context)):
        return JobFailed(job.id, Failure(message=shortfall), ""), trained
    ends: list[JobEvent] = []

    def handle(event: Event | JobEvent) -> None:
        if isinstance(event, JobEvent):
            ends.append(event)
            return
        trained.is_finished |= isinstance(event, StageFinished)
        if isinstance(event, StageValidated):
            trained.validations.append(event.validation)
        if isinstance(event, StagePruned):
            trained.steps_before_pruning = event.steps
        on_event(event)

    while len(ends) <= RETRIES and all(isinstance(end, JobDied) for end in ends):
        run_job(job, context, handle)
    return ends[-1], trained
