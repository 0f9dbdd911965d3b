"""Evaluate a network or a folder of restored images; the result is a run that `compare` and `leaderboard` take.

import benchmark
result = benchmark.evaluate(module, data="synthetic_faces: {preset: severe}")
result.intervals["base"]["psnr"].mean
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmark.data import Pair, Source
from benchmark.data.image_folders import images_in
from benchmark.data.image_io import read_image
from benchmark.data.sources import open_source
from benchmark.errors import DataError, RecordError
from benchmark.evaluation.conventions import convention_of, metrics_of
from benchmark.evaluation.evaluate import ImageScores, Metrics, facts_of, load_metrics, summarise
from benchmark.evaluation.metrics import Image
from benchmark.evaluation.network_scores import Interval, RestorePair, intervals_of, restore_by, score_rows
from benchmark.experiment.component_text import components_from_text
from benchmark.experiment.portable_paths import portable_data, relative_paths
from benchmark.files import write_json, write_text
from benchmark.inference.device_setup import Machine, inference_device, present_machine
from benchmark.registry import Registry
from benchmark.runner.record_writer import provenance, write_scores
from reports.digests import digests_of
from reports.schema import PlanFile, PlanRow, Record, Score, to_json
from reports.sealing import sealed

_ROW, _SEED = "base", 0
"""Of the network in the run that is written; the seed lets it be compared with trained rows of this seed."""
_EQUIVALENCE_MARGIN_DB = 0.1
"""As in an experiment file that says nothing."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a network and of baselines on a test set.

    Attributes:
        name: Name of the run.
        scores: Row (`base`: the network; baselines) -> its images in the order of the test set.
        intervals: Row -> metric -> mean over images with its 95 % interval; `base - identity` has the differences.
        metrics: What images were scored on, by name.
        settings: The test set, as in an experiment file; its paths are absolute.
        fingerprint: Of the test set.
        machine: Where the network ran.
        seconds: How long it took.
    """

    name: str
    scores: Mapping[str, Sequence[ImageScores]]
    intervals: Mapping[str, Mapping[str, Interval]]
    metrics: Metrics
    settings: Mapping[str, Any]
    fingerprint: str
    machine: Machine
    seconds: float

    def write(self, folder: str | Path, command: str = "") -> Path:
        """Write the result as a run into a folder that has none, and return the folder.

        Raises:
            RecordError: The folder holds a run already.
        """
        folder = Path(folder)
        if (folder / "plan.json").exists():
            raise RecordError(f"{folder}: holds a run already; choose another folder")
        data = relative_paths({"name": self.name, "data": {"test": dict(self.settings)}}, folder)
        config_hash = hashlib.sha256(f"{self.name}\n{self.fingerprint}".encode()).hexdigest()  # without paths
        rows: list[PlanRow] = []
        for row in self.scores:
            seed = _SEED if row == _ROW else None
            place = folder / (row if seed is None else f"{row}/seed{seed}")
            self._write_row(row, seed, place, folder, config_hash, command)
            hashes = {"" if seed is None else str(seed): config_hash}
            kind = "baseline" if seed is None else "trained"
            rows.append(PlanRow(row=row, table=None, kind=kind, seeds=(seed,), config_hashes=hashes))
        write_text(folder / "experiment.yaml", yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
        plan = PlanFile(
            experiment=self.name,
            primary="psnr",
            equivalence_margin=_EQUIVALENCE_MARGIN_DB,
            seeds=(_SEED,),
            rows=tuple(rows),
            metrics=tuple(facts_of(self.metrics)),
            command=command,
        )
        write_json(folder / "plan.json", sealed(to_json(plan)))  # the last: it makes the folder a run
        return folder

    def _write_row(self, row: str, seed: int | None, folder: Path, run: Path, config_hash: str, command: str) -> None:
        images = self.scores[row]
        write_scores(folder, {"test": images})
        means = {name: Score(**summary) for name, summary in summarise(image.metrics for image in images).items()}
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        record = Record(
            experiment=self.name,
            row=row,
            tables=(),
            seed=seed,
            status="done",
            config={"data": {"test": portable_data(dict(self.settings), run)}},
            config_hash=config_hash,
            provenance={**provenance(self.machine, command), "started": started, "seconds": round(self.seconds, 3)},
            scores={"test": means},
            metrics=facts_of(self.metrics),
            skin_tones={item.pair.name: item.pair.skin_tone for item in images if item.pair.skin_tone is not None},
            files=digests_of(folder, "record.json"),
        )
        write_json(folder / "record.json", to_json(record))


def evaluate(
    network: Any,
    data: str | Source,
    *,
    name: str = "evaluation",
    train: str | Source | None = None,
    conventions: Iterable[str] = (),
    metrics: Iterable[str] = (),
    device: str | None = None,
    multiple_of: int = 1,
    output: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
) -> Evaluation:
    """Score any network on any test set, beside baselines, with 95 % intervals.

    Args:
        network: What `load` returns; any `torch.nn.Module` from `B 3 H W` in [0, 1] to the same; or a function from
            `H W 3` uint8 to the same. A module moves to the device, runs in eval mode, and is then in its former mode.
        data: The test set: a source as in an experiment file, in one line: `synthetic_faces: {preset: severe}`.
        name: Name of the run.
        train: The pairs that the baseline `affine` is fitted to; without them it is left out.
        conventions: `rgb` or `y_channel`, and `border: PIXELS`, for further PSNR and SSIM.
        metrics: Further metrics by name.
        device: `cpu`, `cuda`, `cuda:N` or `mps`; None: the best there is.
        multiple_of: Sides that a module needs are multiples of this; images are reflected up to them.
        output: Folder to write the run to; None: nothing is written.
        plugins: Python files with components of yours.

    Raises:
        BenchmarkError: One line that says what is wrong with the data, the network or an option.
    """
    registry = Registry(tuple(map(Path, plugins)))
    machine = present_machine(inference_device(device))
    test = _opened(data, "data", registry)
    fit = None if train is None else _opened(train, "train", registry)[0]
    restore = restore_by(network, machine.device, multiple_of)
    chosen = {**load_metrics(registry, metrics), **metrics_of(convention_of(conventions), registry)}
    baselines = ("identity", "affine", "closing") if fit else ("identity", "closing")
    result = _evaluated(name, restore, test, baselines, fit, chosen, machine)
    if output is not None:
        result.write(output)
    return result


def evaluate_folder(
    restored: Path,
    target: Path,
    degraded: Path | None,
    *,
    name: str,
    conventions: Iterable[str] = (),
    metrics: Iterable[str] = (),
    plugins: Iterable[Path] = (),
) -> Evaluation:
    """Score restored images against target images of equal names.

    Without the degraded images there are no baselines, and only metrics that compare restored and target image.

    Raises:
        BenchmarkError: A folder has no images, an image has no partner or another size, or a name is unknown.
    """
    registry, metrics = Registry(tuple(plugins)), tuple(metrics)
    folders = {"degraded": degraded or restored, "target": target}
    settings = {"source": "paired_folders", **{name: str(folder.absolute()) for name, folder in folders.items()}}
    source = open_source({key: value if key == "source" else Path(value) for key, value in settings.items()}, registry)
    files = images_in(restored)

    def read(pair: Pair) -> Image:
        if pair.name not in files:
            raise DataError(f"{restored}: has no image {pair.name}; it needs one for each of {target}")
        return read_image(files[pair.name])

    chosen = {**load_metrics(registry, metrics), **metrics_of(convention_of(conventions), registry)}
    if degraded is None:
        for metric in metrics:
            if tuple(chosen[metric].needs) != ("target",):
                raise DataError(f"metric {metric!r}: needs the degraded images; give their folder as --degraded")
        chosen = {name: metric for name, metric in chosen.items() if tuple(metric.needs) == ("target",)}
    baselines = () if degraded is None else ("identity", "closing")
    return _evaluated(name, read, (source, settings), baselines, None, chosen, present_machine(inference_device("cpu")))


def _opened(data: str | Source, place: str, registry: Registry) -> tuple[Source, dict[str, Any]]:
    """Return a source and its settings as in an experiment file."""
    if isinstance(data, Source):
        return data, {"source": type(data).__name__, "fingerprint": data.fingerprint}
    components = components_from_text("source", place, [data], registry)
    if len(components) != 1:
        raise DataError(f"{place} {data!r}: name one source, e.g. 'synthetic_faces: {{preset: severe}}'")
    ((source, options),) = components.items()
    settings = {"source": source, **options}
    absolute = {name: value.absolute() if isinstance(value, Path) else value for name, value in settings.items()}
    return open_source(settings, registry), json.loads(json.dumps(absolute, default=str))


def _evaluated(
    name: str,
    restore: RestorePair,
    test: tuple[Source, Mapping[str, Any]],
    baselines: Sequence[str],
    train: Source | None,
    metrics: Metrics,
    machine: Machine,
) -> Evaluation:
    clock = time.perf_counter()
    scores = score_rows(restore, test[0], baselines, train, metrics)
    seconds = time.perf_counter() - clock
    return Evaluation(name, scores, intervals_of(scores), metrics, test[1], test[0].fingerprint, machine, seconds)
