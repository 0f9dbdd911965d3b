"""The full protocol: fresh processes one after the other, networks in turn, a reference network beside them."""

import statistics
from collections.abc import Iterator, Sequence

from benchmark.errors import ProcessError
from benchmark.gates.latency import stability
from benchmark.gates.latency.result import Latency, launch_share, quantiles, spread
from benchmark.gates.latency.worker import REFERENCE, Found, Job, MeasuringError, Sample, Subject, run_job
from benchmark.processes import run_in_fresh_process


def full_latency(job: Job) -> list[Latency]:
    """The latency of every subject of a job, in its order; minutes. Raises MeasuringError."""
    return summarise(job, list(measure(job)))


def measure(job: Job) -> Iterator[Found]:
    """What each of the processes found, as soon as it is done. Nothing else should run meanwhile."""
    for _ in range(job.effort.processes):
        try:
            yield run_in_fresh_process(run_job, job)
        except ProcessError as error:
            raise MeasuringError(f"latency: {error}") from None


def summarise(job: Job, processes: Sequence[Found]) -> list[Latency]:
    """What the processes found, as one latency for each subject."""
    about_all = [*stability.of_loads([process.load for process in processes])]
    reference = [statistics.median(call.image_ms for call in process.samples[REFERENCE].calls) for process in processes]
    about_all += stability.of_reference(reference)
    waited = [process.load.waited_share for process in processes if process.load.waited_share is not None]
    shared = (tuple(about_all), max(waited, default=None), statistics.median(reference))
    return [
        _latency(subject, [process.samples[subject.label] for process in processes], *shared)
        for subject in job.subjects
    ]


def _latency(
    subject: Subject,
    samples: Sequence[Sample],
    about_all: tuple[str, ...],
    waited_share: float | None,
    reference_ms: float,
) -> Latency:
    spreads = [spread(sample.calls) for sample in samples]
    unsteady = (
        *about_all,
        *stability.of_spreads(spreads),
        *stability.of_warm_ups([sample.warm_up for sample in samples]),
    )
    return Latency(
        protocol="full",
        conditions=subject.conditions,
        image_ms=quantiles([[call.image_ms for call in sample.calls] for sample in samples]),
        network_ms=quantiles([[call.network_ms for call in sample.calls] for sample in samples]),
        launch_share=launch_share([call for sample in samples for call in sample.calls]),
        cold_start_ms=statistics.median(sample.cold_start_ms for sample in samples),
        preparation_seconds=statistics.median(sample.preparation_seconds for sample in samples),
        runs=sum(len(sample.calls) for sample in samples),
        processes=len(samples),
        spread=statistics.median(spreads),
        waited_share=waited_share,
        unsteady=unsteady,
        reference_ms=reference_ms,
    )
