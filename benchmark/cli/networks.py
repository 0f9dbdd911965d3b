"""Networks that a command works on: described by options, of a trained row, or all of an experiment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter

from benchmark.cli.options import matching_rows
from benchmark.experiment.document import Document, KeyPath, parse
from benchmark.experiment.load import load as load_experiment
from benchmark.experiment.plan import network_id
from benchmark.experiment.resolve import resolve_model
from benchmark.experiment.schema import AnyGate, ResolvedModel
from benchmark.files import read_json
from benchmark.model import Restorer, build, load
from benchmark.registry import Registry

_GATES: TypeAdapter[dict[str, AnyGate]] = TypeAdapter(dict[str, AnyGate])


@dataclass(frozen=True)
class Network:
    """A network. `rows`: names of the rows that have it, or its description; `make`: builds it."""

    rows: tuple[str, ...]
    model: ResolvedModel
    gates: Mapping[str, AnyGate]
    make: Callable[[], Restorer]

    @property
    def label(self) -> str:
        """The names, in one line."""
        return ", ".join(self.rows)


def described(
    backbone: str, size: str | None, options: Sequence[str], head: str, head_options: Sequence[str], registry: Registry
) -> Network:
    """Return the network of a backbone and a head, whose options are KEY=VALUE. Raises ExperimentError."""
    places: dict[KeyPath, str] = {(): "--backbone"}
    backbone_data = {"name": backbone, **({"size": size} if size else {})}
    backbone_data |= _options("--option", ("model", "backbone"), options, places)
    head_data = {"name": head, **_options("--head-option", ("model", "head"), head_options, places)}
    model = resolve_model(Document({"model": {"backbone": backbone_data, "head": head_data}}, places), registry)
    label = " ".join([backbone, *([size] if size else []), *options])
    return Network((label,), model, {}, partial(build, model, 0, registry))


def _options(option: str, above: KeyPath, items: Sequence[str], places: dict[KeyPath, str]) -> dict[str, Any]:
    """Return options given as KEY=VALUE, the value in YAML; add where each stands to `places`, for messages."""
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not (key and equals):
            raise click.UsageError(f"{option} {item}: write KEY=VALUE, e.g. {option} width=16")
        places[(*above, key)] = f"{option} {item}"
        settings[key] = parse(text, f"{option} {item}").data
    return settings


def recorded(folder: Path, registry: Registry) -> Network:
    """Return the trained network of a record folder, with the gates of its record. Raises RecordError."""
    restorer = load(folder, registry)
    config = read_json(folder / "record.json")["config"]
    gates = _GATES.validate_python(config["gates"])
    return Network((str(folder),), ResolvedModel.model_validate(config["model"]), gates, lambda: restorer)


def of_experiment(file: Path, sets: Sequence[str], patterns: tuple[str, ...], registry: Registry) -> list[Network]:
    """Return each different network of the rows that match, with its gates. Raises ExperimentError."""
    rows = load_experiment(file, registry, sets).rows
    chosen = matching_rows(patterns, [row.name for row in rows])
    networks: dict[str, Network] = {}
    for row in (row for row in rows if row.name in chosen):
        model, gates = row.recipe.model, row.recipe.gates
        key = network_id(model, gates)
        names = (*(networks[key].rows if key in networks else ()), row.name)
        networks[key] = Network(names, model, gates, partial(build, model, 0, registry))
    return list(networks.values())
