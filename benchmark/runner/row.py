"""One row with one seed: gates, stages, test, record. And the floor rows, which need none but the test."""

import shutil
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from benchmark.data import Source
from benchmark.errors import BenchmarkError, RowError
from benchmark.evaluation.baselines import BASELINE_FITS
from benchmark.evaluation.evaluate import ImageScores, Restored, Summary, evaluate, pairs, summarise
from benchmark.evaluation.map_metrics import Constants, best_constants
from benchmark.experiment.plan import Floor, Run
from benchmark.experiment.schema import AnyGate, CountedGate
from benchmark.files import write_text
from benchmark.gates.cost import cost
from benchmark.gates.gate_result import Candidate, MeasuringDevice
from benchmark.gates.judge import judge
from benchmark.model import Restorer, build, restore_with_maps
from benchmark.model.weight_files import write_weights
from benchmark.runner.context import Context
from benchmark.runner.device_setup import Machine
from benchmark.runner.map_supervision import supervised_maps
from benchmark.runner.progress_events import Event, GatesChecked, ImageScored, RowFinished, RowStarted
from benchmark.runner.provenance import provenance
from benchmark.runner.record_writer import write_curves, write_images, write_record, write_scores
from benchmark.runner.stage import look_at_val, network, obtain_stage
from benchmark.runner.stage_store import StageResult
from benchmark.training.loop import DivergedError
from reports.schema import Failure, GateResult, ModelCost, Record, Score, StageRecord

_GATES: TypeAdapter[dict[str, AnyGate]] = TypeAdapter(dict[str, AnyGate])


@dataclass(frozen=True)
class Measured:
    """What is known of a model before training; the same for all seeds of a row."""

    model: ModelCost
    gates: tuple[GateResult, ...]


def run_row(
    run: Run,
    experiment: str,
    context: Context,
    measured: Measured,
    broken: Mapping[str, str],
    *,
    is_trial: bool = False,
) -> Iterator[Event]:
    """Train, test and record one row with one seed. What goes wrong in it is recorded, not raised.

    `broken`: messages of stages, by key, that failed in another row of this run; they are not tried a second time.
    `is_trial`: every gate that fails rejects, and the scores are those on val: a search must not look at test.
    """
    yield RowStarted(run.folder)
    _clear(context.output / run.folder)
    started = datetime.now(UTC), time.perf_counter()
    record = _blank(run, experiment).model_copy(update={"model": measured.model, "gates": measured.gates})
    yield GatesChecked(run.folder, tuple(describe(verdict) for verdict in measured.gates))
    failed = [verdict for verdict in measured.gates if verdict.result == "failed"]
    rejecting = [verdict for verdict in failed if verdict.reject or is_trial]
    try:
        if rejecting:
            message = f"not trained: fails gate {describe(rejecting[0])}"
            record = record.model_copy(update={"status": "rejected", "error": Failure(message=message)})
        else:
            trained = yield from _train(run, record, context, broken)
            record = _on_val(run, trained, context) if is_trial else (yield from _tested(run, trained, context))
    except Exception as error:  # a row that fails, for whatever reason, must not take the others along
        with suppress(OSError):  # the disk may be full
            write_text(context.output / run.folder / "error.txt", traceback.format_exc())
        record = record.model_copy(update={"status": "failed", "error": _error(error)})
    yield _finish(record.model_copy(update={"provenance": _provenance(context, *started)}), run.folder, context)


def fail_row(run: Run, experiment: str, context: Context, measured: Measured | None, reason: str) -> Iterator[Event]:
    """Record a row as failed from outside, because it could not be run or whoever ran it no longer can."""
    _clear(context.output / run.folder)
    started = datetime.now(UTC), time.perf_counter()
    record = _blank(run, experiment).model_copy(update={"status": "failed", "error": Failure(message=reason)})
    if measured:
        record = record.model_copy(update={"model": measured.model, "gates": measured.gates})
    yield _finish(record.model_copy(update={"provenance": _provenance(context, *started)}), run.folder, context)


def _clear(folder: Path) -> None:
    """Remove what an earlier try left, its record first: a record never stands beside files that are not its own."""
    for name in ("record.json", "error.txt", "scores.csv", "curve.csv", "weights.safetensors"):
        (folder / name).unlink(missing_ok=True)
    for name in ("images", "maps"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _blank(run: Run, experiment: str) -> Record:
    return Record(
        experiment=experiment,
        row=run.row,
        tables=(run.table,) if run.table else (),
        seed=run.seed,
        status="done",
        config=run.config,
        config_hash=run.config_hash,
        provenance={},
    )


def _finish(record: Record, folder: str, context: Context) -> RowFinished:
    write_record(context.output / folder, record)
    return RowFinished(folder, record, _message(record))


def measure_model(run: Run, context: Context) -> Measured | str:
    """Cost and gates of a row's untrained network, or, if it cannot be built or run, the reason."""
    try:
        return _measure_model(run, context)
    except Exception as error:  # somebody's network: whatever is wrong with it concerns its rows alone
        return f"its network cannot be measured: {type(error).__name__}: {error}"


def _measure_model(run: Run, context: Context) -> Measured:
    restorer = build(run.config["model"], run.seed, context.registry)
    return measure_restorer(restorer, run.config, context.machine, context.registry.plugins)


def measure_restorer(
    restorer: Restorer, config: Mapping[str, Any], machine: Machine, plugins: tuple[Path, ...]
) -> Measured:
    """Cost of a network and verdicts of the gates in a resolved `config`; the network ends on the machine's device."""
    costs = cost(restorer)
    model = ModelCost(
        backbone=config["model"]["backbone"]["name"],
        head=config["model"]["head"]["name"],
        params=costs.params,
        macs=costs.macs,
        macs_shape=tuple(costs.macs_shape),
        weight_bytes={"float32": costs.float32_bytes, "float16": costs.float16_bytes},
        citations=(restorer.backbone.citation,),
    )
    candidate = Candidate(restorer.to(machine.device), config["model"], plugins)
    return Measured(model, tuple(judge(_gates(config), candidate, measuring_device(machine))))


def static_gates(run: Run, context: Context) -> list[GateResult]:
    """The gates of a row that are counted, not measured."""
    restorer = build(run.config["model"], run.seed, context.registry)
    gates = {name: gate for name, gate in _gates(run.config).items() if isinstance(gate, CountedGate)}
    candidate = Candidate(restorer, run.config["model"], context.registry.plugins)
    return judge(gates, candidate, measuring_device(context.machine))


def _gates(config: Mapping[str, Any]) -> dict[str, AnyGate]:
    return _GATES.validate_python(config["gates"])


def measuring_device(machine: Machine) -> MeasuringDevice:
    """The machine as verdicts name it."""
    return MeasuringDevice(machine.device, machine.device_name, machine.threads, machine.allocator)


def run_floor(floor: Floor, experiment: str, context: Context) -> Iterator[Event]:
    """Test and record a row that needs no training."""
    yield RowStarted(floor.folder)
    _clear(context.output / floor.folder)
    started = datetime.now(UTC), time.perf_counter()
    folder = context.output / floor.folder
    restore = BASELINE_FITS[floor.row](pairs(context.source(floor.config, "train")))
    images = yield from _test(floor.folder, restore, context.source(floor.config, "test"), {})
    _write_images_and_scores(folder, images)
    record = Record(
        experiment=experiment,
        row=floor.row,
        tables=(),
        seed=None,
        status="done",
        config=floor.config,
        config_hash=floor.config_hash,
        provenance=_provenance(context, *started),
        scores={"test": _scores(summarise(image.metrics for image in images))},
    )
    yield _finish(record, floor.folder, context)


def describe(verdict: GateResult) -> str:
    """A verdict in one line, for people."""
    if verdict.measured is None:
        return f"{verdict.name}: not measured ({verdict.protocol.get('reason', 'no reason given')})"
    digits = 1 if verdict.unit == "ms" else 0
    measured, limit = f"{verdict.measured:,.{digits}f}", f"{verdict.limit:,.{digits}f}"
    return f"{verdict.name}: {verdict.result} ({measured} of {limit} {verdict.unit}{_doubts(verdict)})"


def _doubts(verdict: GateResult) -> str:
    """The interval of a verdict, and why it is no clearer than it is."""
    interval = f"; 95 % [{verdict.interval[0]:.1f}, {verdict.interval[1]:.1f}]" if verdict.interval else ""
    if verdict.result != "inconclusive":
        return interval
    unsteady = verdict.protocol.get("unsteady") or []
    quick = ["the quick protocol cannot pass"] if verdict.protocol.get("name") == "quick" else []
    return interval + "".join(f"; {reason}" for reason in unsteady or quick)


def _train(run: Run, record: Record, context: Context, broken: Mapping[str, str]) -> Generator[Event, None, Record]:
    """The record with its stages, all of them in the store, and the scores, if any, that the last reached on val."""
    stages = yield from _stages(run, context, broken)
    write_curves(context.output / run.folder, [(stage.name, stage.key) for stage in run.stages], context.store)
    entries = tuple(_entry(result, reused=reused) for result, reused in stages)
    return record.model_copy(
        update={"stages": entries, "scores": {"val": _scores(stages[-1][0].val)} if stages else {}}
    )


def _on_val(run: Run, record: Record, context: Context) -> Record:
    """The record with scores on val, also where no stage looked at them."""
    if record.stages:
        return record
    scores = _scores(look_at_val(run, network(run, None, context), context))
    return record.model_copy(update={"scores": {"val": scores}})


def _tested(run: Run, record: Record, context: Context) -> Generator[Event, None, Record]:
    """The record with the scores on test in place of those on val, which stand among its stages."""
    folder, device = context.output / run.folder, context.machine.device
    restorer = network(run, run.last_key, context).eval()
    supervised, source = supervised_maps(run, context.registry), context.source(run.config, "test")
    constants = best_constants(pairs(source)) if supervised else {}
    images = yield from _test(run.folder, partial(_restore, restorer, device, supervised), source, constants)
    _write_images_and_scores(folder, images)
    write_weights(restorer, folder / "weights.safetensors")
    return record.model_copy(update={"scores": {"test": _scores(summarise(image.metrics for image in images))}})


def _scores(summaries: Mapping[str, Summary]) -> dict[str, Score]:
    return {metric: Score(**summary) for metric, summary in summaries.items()}


def _restore(restorer: Restorer, device: torch.device, supervised: frozenset[str], image: Any) -> Restored:
    restored, maps = restore_with_maps(restorer, image, device)
    return Restored(restored, {name: values for name, values in maps.items() if name in supervised})


def _stages(
    run: Run, context: Context, broken: Mapping[str, str]
) -> Generator[Event, None, list[tuple[StageResult, bool]]]:
    """See that all stages of the row are in the store: train those that are not. Each with whether it was there."""
    results: list[tuple[StageResult, bool]] = []
    parent: str | None = None
    for stage in run.stages:
        if stage.key in broken and context.store.finished(stage.key) is None:
            raise RowError(f"shares a stage that failed in another row: {broken[stage.key]}")
        results.append((yield from obtain_stage(run, stage, parent, context)))
        parent = stage.key
    return results


def _entry(result: StageResult, *, reused: bool) -> StageRecord:
    entry = asdict(result)
    del entry["val_fingerprint"]  # the resolved data is in the record
    entry["val"] = {metric: summary["mean"] for metric, summary in result.val.items()}
    return StageRecord(reused=reused, **entry)


def _test(
    folder: str, restore: Callable[[Any], Any], source: Source, constants: Constants
) -> Generator[Event, None, list[ImageScores]]:
    images: list[ImageScores] = []
    for scored in evaluate(restore, source, constants):
        images.append(scored)
        yield ImageScored(folder, len(images), len(source))
    return images


def _write_images_and_scores(folder: Path, images: list[ImageScores]) -> None:
    write_scores(folder, "test", images)
    write_images(folder / "images", {image.pair.name: image.restored for image in images})


def _provenance(context: Context, started: datetime, clock: float) -> dict[str, Any]:
    times = {
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round(time.perf_counter() - clock, 3),
    }
    return {**provenance(context.machine, context.command), **times}


def _error(error: Exception) -> Failure:
    if isinstance(error, DivergedError):
        return Failure(message=str(error), stage=error.stage, step=error.step)
    if isinstance(error, torch.OutOfMemoryError):
        return Failure(message="out of memory; lower batch or patch of the stage, or raise accumulate")
    is_ours = isinstance(error, BenchmarkError)
    return Failure(message=str(error) if is_ours else f"{type(error).__name__}: {error} (traceback in error.txt)")


def _message(record: Record) -> str:
    if record.error:
        return record.error.message
    scores = record.scores.get("test", {})
    shown = [f"{name} {scores[name].mean:.2f}" for name in ("psnr", "psnr_spots", "harm") if name in scores]
    return ", ".join(shown)
