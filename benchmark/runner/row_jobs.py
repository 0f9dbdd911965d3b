"""From a planned row to its jobs: what each needs, how long it takes, and in which order rows come."""

from collections.abc import Callable, Iterable, Mapping

from benchmark.experiment.load import BASE
from benchmark.experiment.plan import PlannedBaseline, PlannedRow
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage
from benchmark.runner.row import RowProgress
from benchmark.runner.scheduler import ScheduledJob

AnyRow = PlannedRow | PlannedBaseline


def row_jobs(
    row: AnyRow,
    *,
    is_trial: bool,
    is_measured: bool,
    is_stored: Callable[[str], bool],
    estimates: Mapping[str, float],
) -> list[tuple[Job, ScheduledJob]]:
    """Return the jobs of a row that are to be done, each behind those it needs; the test of the row is the last.

    Args:
        row: Of a plan.
        is_trial: It is a trial of a search.
        is_measured: Its network is measured already.
        is_stored: Whether a stage is trained, by its key.
        estimates: Seconds of stages by key.
    """
    test = TestRow(row, RowProgress(is_trial=is_trial))
    if isinstance(row, PlannedBaseline):
        return [(test, ScheduledJob(test.id, order=(-1, 0)))]
    jobs: list[tuple[Job, ScheduledJob]] = []
    if not is_measured:
        jobs.append((MeasureNetwork(row), ScheduledJob(row.network, is_exclusive=True)))
    unfinished = [stage for stage in row.stages_with_teacher if not is_stored(stage.key)]
    taught = row.teacher.last_key if row.teacher else None
    keys = {stage.key for stage in unfinished}
    for stage in unfinished:
        before = (stage.parent, taught if stage in row.stages else None)
        parents = tuple(key for key in before if key in keys)  # else it is stored, or there is none
        seconds = estimates.get(stage.key, 0.0)
        jobs.append((TrainStage(row, stage), ScheduledJob(stage.key, parents, seconds=seconds)))
    needs = tuple(scheduled.id for _, scheduled in jobs)
    return [*jobs, (test, ScheduledJob(test.id, needs, (row.seed, int(row.row != BASE))))]


def training_jobs(rows: Iterable[AnyRow], estimates: Mapping[str, float]) -> list[ScheduledJob]:
    """Return the jobs of rows whose networks are measured, each once and behind those it needs.

    Args:
        rows: Of a plan.
        estimates: Seconds of the stages that are not stored, by key.
    """
    jobs: dict[str, ScheduledJob] = {}
    for row in rows:
        for _, job in row_jobs(
            row, is_trial=False, is_measured=True, is_stored=lambda key: key not in estimates, estimates=estimates
        ):
            jobs.setdefault(job.id, job)
    return [*jobs.values()]
