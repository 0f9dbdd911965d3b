"""The record of a row: tested with its final weights, or failed or rejected before; and the records of baselines."""

import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Source
from benchmark.errors import RowError
from benchmark.evaluation.baselines import fitted_baseline
from benchmark.evaluation.evaluate import (
    ImageScores,
    Restored,
    Summary,
    best_constants,
    evaluate,
    facts_of,
    load_metrics,
    pairs,
    summarise,
)
from benchmark.experiment.plan import PlannedBaseline, PlannedRow
from benchmark.experiment.portable_paths import portable_text
from benchmark.files import write_bytes, write_json, write_text
from benchmark.inference.device_setup import torch_threads
from benchmark.inference.int8 import FILE, FileNetwork
from benchmark.lease import Lease
from benchmark.model import Restorer, restore_with_maps
from benchmark.model.weight_files import write_weights
from benchmark.runner.compression import int8_file, with_weighed_file
from benchmark.runner.context import Context
from benchmark.runner.events import ImageScored, MeasuredModel, OnEvent, RowAwaited, RowFinished, StageReused
from benchmark.runner.maps import supervised_maps
from benchmark.runner.record_writer import is_finished, provenance, write_curves, write_images, write_scores
from benchmark.runner.row_leases import leases_of
from benchmark.runner.stage_store import StageResult
from benchmark.runner.threads import threads_of_test
from benchmark.runner.val_scores import load_network, on_val_of, score_on_val, scores_of
from reports.digests import digests_of
from reports.schema import MORE_TESTS, Failure, GateResult, Record, Score, StageRecord, read, to_json


@dataclass(frozen=True)
class RowProgress:
    """What earlier jobs of a run found out and did for a row."""

    measured: MeasuredModel | None = None
    trained: frozenset[str] = frozenset()
    """Keys of the stages that were trained for this row; it reuses the others."""
    started: datetime | None = None
    seconds: float = 0.0
    """Duration of its jobs."""
    is_trial: bool = False
    """A trial of a search, which is scored on val: a search must not read test."""


def test_row(row: PlannedRow | PlannedBaseline, progress: RowProgress, context: Context, on_event: OnEvent) -> None:
    """Test a row, all stages of which are stored, or a baseline, and write its record and files.

    Raises:
        LeaseLost: This process was paused, and another one tests the row.
    """
    with claim_folder(row, context, on_event) as lease:
        if lease is not None and isinstance(row, PlannedRow):
            with torch_threads(threads_of_test(row, context.registry)):
                _test_trained(row, progress, lease, context, on_event)
        elif lease is not None and isinstance(row, PlannedBaseline):
            _test_baseline(row, progress, lease, context, on_event)


def _test_trained(row: PlannedRow, progress: RowProgress, lease: Lease, context: Context, on_event: OnEvent) -> None:
    clock = time.perf_counter()
    results: list[StageResult] = []
    for stage in row.stages:
        result = context.store.finished(stage.key)
        if result is None:
            raise RowError(f"stage {stage.name!r} has disappeared from the store; run the same command again")
        if stage.key not in progress.trained:
            on_event(StageReused(row.folder, result))
        with torch_threads(stage.settings.threads):
            results.append(on_val_of(row, result, context))
    folder = context.output / row.folder
    write_curves(folder, [(stage.name, stage.key) for stage in row.stages], context.store)
    restorer = load_network(row, row.last_key, context).eval()
    content = int8_file(row, restorer, context)
    if progress.is_trial:
        if content:
            val = scores_of(FileNetwork(content).restore, row, context)
        else:
            val = results[-1].val if results else score_on_val(row, restorer, context)
        tested: dict[str, Any] = {"scores": {"val": _scores(val)}}
    else:
        restore, has_maps = _restoring(row, restorer, content, context)
        tested = _score(row, restore, tests_of(row, context), lease, context, on_event, with_maps=has_maps)
        write_weights(restorer, folder / "weights.safetensors")
        if content:
            write_bytes(folder / FILE, content)
    stages = tuple(_stage_record(result, reused=result.key not in progress.trained) for result in results)
    record = new_record(row, progress, context, time.perf_counter() - clock)
    if content:
        record = with_weighed_file(record, row, restorer, content, context)
    _finish(record.model_copy(update={"stages": stages, **tested}), row, lease, context, on_event)


def _restoring(
    row: PlannedRow, restorer: Restorer, content: bytes | None, context: Context
) -> tuple[Callable[[Any], Any], bool]:
    """Return what restores the images of a test, and whether it gives maps: the network, or its file in 8 bits."""
    if content:
        return FileNetwork(content).restore, False
    supervised, device = supervised_maps(row, context.registry), context.machine.device

    def restore(image: NDArray[np.uint8]) -> Restored:
        restored, maps = restore_with_maps(restorer, image, device)
        return Restored(restored, {name: values for name, values in maps.items() if name in supervised})

    return restore, bool(supervised)


def _test_baseline(
    baseline: PlannedBaseline, progress: RowProgress, lease: Lease, context: Context, on_event: OnEvent
) -> None:
    """Fit a baseline to the training images, test it, and write its record and files."""
    clock = time.perf_counter()
    restore = fitted_baseline(baseline.row, context.source(baseline.data["train"]))
    tests = tests_of(baseline, context)
    tested = _score(baseline, restore, tests, lease, context, on_event, with_maps=False)
    record = new_record(baseline, progress, context, time.perf_counter() - clock)
    _finish(record.model_copy(update=tested), baseline, lease, context, on_event)


def end_untested(
    row: PlannedRow | PlannedBaseline,
    status: Literal["failed", "rejected"],
    failure: Failure,
    traceback: str,
    progress: RowProgress,
    context: Context,
    on_event: OnEvent,
) -> None:
    """Write the record of a row that failed or was rejected, in place of all files of an earlier attempt.

    A traceback, if there is one, is written to `error.txt` beside the record.
    """
    with claim_folder(row, context, on_event) as lease:
        if lease is None:
            return
        if traceback:
            with suppress(OSError):  # the disk may be full
                write_text(context.output / row.folder / "error.txt", traceback)
        shown = failure.model_copy(update={"message": portable_text(failure.message, Path.cwd())})
        is_pruned = status == "rejected" and failure.step is not None
        stages = _stored_stages(row, progress, context) if is_pruned and isinstance(row, PlannedRow) else ()
        changes = {"status": status, "error": shown, "stages": stages}
        record = new_record(row, progress, context, 0.0).model_copy(update=changes)
        _finish(record, row, lease, context, on_event)


@contextmanager
def claim_folder(row: PlannedRow | PlannedBaseline, context: Context, on_event: OnEvent) -> Generator[Lease | None]:
    """Hold the folder of a row inside, without the files of an earlier attempt; None if the row is finished.

    Waits while another process has the folder. A row that another process has finished is reported as it stands there.
    """
    folder = context.output / row.folder
    leases, name = leases_of(row.folder, context.output, context.store)
    with leases.claim(
        name,
        lambda: is_finished(folder, row.config_hash, replace=True),
        lambda owner: on_event(RowAwaited(row.folder, owner)),
    ) as lease:
        if lease is None:
            _report(read(Record, folder / "record.json"), row, on_event)
        else:  # the record first: it never stands beside files of another one
            names = ("record.json", "error.txt", "scores.csv", "curve.csv", "weights.safetensors", FILE)
            for file in (*map(folder.joinpath, names), *folder.glob(".writing-*")):  # of killed processes
                file.unlink(missing_ok=True)
            for name in ("images", "maps", MORE_TESTS):
                shutil.rmtree(folder / name, ignore_errors=True)
        yield lease


def new_record(row: PlannedRow | PlannedBaseline, progress: RowProgress, context: Context, seconds: float) -> Record:
    """Return a record with all that is known before the test; `seconds`: duration of the last job."""
    started = (progress.started or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z")
    times = {"started": started, "seconds": round(progress.seconds + seconds, 3)}
    is_trained = isinstance(row, PlannedRow)
    return Record(
        experiment=context.experiment,
        row=row.row,
        tables=(row.table,) if is_trained and row.table else (),
        seed=row.seed if is_trained else None,
        status="done",
        config=row.config,
        config_hash=row.config_hash,
        provenance={**provenance(context.machine, context.command), **times},
        model=progress.measured.cost if progress.measured else None,
        gates=progress.measured.gates if progress.measured else (),
        metrics=facts_of(load_metrics(context.registry, context.metrics)),
    )


def describe_gate(gate: GateResult) -> str:
    """Return a gate result in one line."""
    if gate.measured is None:
        return f"{gate.name}: not measured ({gate.protocol.get('reason', 'no reason given')})"
    digits = 1 if gate.unit == "ms" else 0
    interval = f"; 95 % [{gate.interval[0]:.1f}, {gate.interval[1]:.1f}]" if gate.interval else ""
    reasons: Sequence[str] = ()
    if gate.result == "inconclusive":
        quick = ["too near for the quick protocol"] if gate.protocol.get("name") == "quick" else []
        reasons = gate.protocol.get("unsteady") or quick
    elif gate.result == "passed" and gate.protocol.get("name") == "quick":
        reasons = ["with room: p99 under half the limit"]
    details = interval + "".join(f"; {reason}" for reason in reasons)
    return f"{gate.name}: {gate.result} ({gate.measured:,.{digits}f} of {gate.limit:,.{digits}f} {gate.unit}{details})"


def _finish(
    record: Record, row: PlannedRow | PlannedBaseline, lease: Lease, context: Context, on_event: OnEvent
) -> None:
    """Write the record, last of all files of a row: what it describes is there, and it has the digests of that."""
    lease.check()
    folder = context.output / row.folder
    files = digests_of(folder, "record.json") if folder.is_dir() else {}
    write_json(folder / "record.json", to_json(record.model_copy(update={"files": files})))
    _report(record, row, on_event)


def _report(record: Record, row: PlannedRow | PlannedBaseline, on_event: OnEvent) -> None:
    test = record.scores.get("test", {})
    scores = [f"{name} {test[name].mean:.2f}" for name in ("psnr", "psnr_spots", "harm") if name in test]
    on_event(RowFinished(row.folder, record, record.reason or ", ".join(scores)))


def tests_of(row: PlannedRow | PlannedBaseline, context: Context) -> dict[str, Source]:
    """Return the test sets of a row by name, `test` first."""
    data = row.recipe if isinstance(row, PlannedRow) else row
    return {name: context.source(spec) for name, spec in {"test": data.data["test"], **data.more_tests}.items()}


def _score(
    row: PlannedRow | PlannedBaseline,
    restore: Callable[[Any], Any],
    tests: Mapping[str, Source],
    lease: Lease,
    context: Context,
    on_event: OnEvent,
    *,
    with_maps: bool,
) -> dict[str, Any]:
    """Restore and score all test images, and write them; return the fields of a record that result."""
    folder, count = context.output / row.folder, sum(map(len, tests.values()))
    metrics = load_metrics(context.registry, context.metrics)
    images: dict[str, list[ImageScores]] = {name: [] for name in tests}
    for name, source in tests.items():
        constants = best_constants(pairs(source)) if with_maps else {}
        for scored in evaluate(restore, source, constants, metrics):
            images[name].append(scored)
            on_event(ImageScored(row.folder, sum(map(len, images.values())), count))
    lease.check()
    write_scores(folder, images)
    for name, scores in images.items():
        place = folder / ("images" if name == "test" else f"{MORE_TESTS}/{name}")
        write_images(place, {image.pair.name: image.restored for image in scores})
    means = {name: _scores(summarise(image.metrics for image in scores)) for name, scores in images.items()}
    tones = {image.pair.name: image.pair.skin_tone for image in images["test"] if image.pair.skin_tone is not None}
    return {"scores": means, "skin_tones": tones}


def _scores(summaries: dict[str, Summary]) -> dict[str, Score]:
    return {metric: Score(**summary) for metric, summary in summaries.items()}


def _stored_stages(row: PlannedRow, progress: RowProgress, context: Context) -> tuple[StageRecord, ...]:
    """Return the stages of a row that are in the store; they stay there for other rows."""
    results = [result for stage in row.stages if (result := context.store.finished(stage.key))]
    return tuple(_stage_record(result, reused=result.key not in progress.trained) for result in results)


def _stage_record(result: StageResult, *, reused: bool) -> StageRecord:
    fields = asdict(result)
    del fields["val_fingerprint"]  # the record's config describes the data
    fields["val"] = {metric: summary["mean"] for metric, summary in result.val.items()}
    return StageRecord(reused=reused, **fields)
