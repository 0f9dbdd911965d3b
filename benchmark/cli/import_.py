"""`import`: published weights are written under this project's names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # torch comes in only when the command runs
    from benchmark.registry import Registry


@dataclass(frozen=True)
class _Request:
    checkpoint: Path
    backbone: str
    size: str | None
    options: tuple[str, ...]
    out: Path | None
    replace: bool
    plugins: tuple[Path, ...]

    @property
    def file(self) -> Path:
        return self.out or self.checkpoint.with_name(f"{self.checkpoint.stem}_imported.safetensors")


@dataclass(frozen=True)
class _Candidate:
    """A configuration that may fit.

    Attributes:
        backbone: As it would stand in YAML.
        model: Resolved, with its head.
    """

    backbone: Mapping[str, Any]
    model: Mapping[str, Any]


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--backbone", required=True, metavar="NAME", help="The backbone it was published for.")
@click.option("--size", metavar="NAME", help="A named size of the backbone.  [default: the one that fits]")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: <name>_imported.safetensors]")
@click.option("--replace", is_flag=True, help="Write over a file that is there.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A backbone of yours.")
def command(**options: Any) -> None:
    """Write the authors' weights in CHECKPOINT under this project's names, and print the row for an experiment.

    The file is read as tensors, never as code. The row has the backbone and the head that compute what the authors'
    network computes; it stands beside networks of yours as it is, or is trained further.

    \b
    Examples:
      python -m benchmark import NAFNet-GoPro-width32.pth --backbone nafnet
      python -m benchmark import gunet_t.pth --backbone gunet --size t --out weights/gunet_t.safetensors
      python -m benchmark import mine.pth --backbone nafnet --option width=16 --option 'depths=[1, 1, 1, 1, 1]'
    """
    from benchmark.experiment.weights import MODEL_IN_HEADER
    from benchmark.gates.cost import parameters
    from benchmark.model.match_config import find_config
    from benchmark.model.weight_files import read_checkpoint, write_weights
    from benchmark.registry import Registry

    request = _Request(**options)
    if request.file.exists() and not request.replace:
        raise click.UsageError(f"{request.file} is there already; name another with --out, or --replace it")
    registry = Registry(request.plugins)
    candidates = _candidates(request, registry)
    models = {name: candidate.model for name, candidate in candidates.items()}
    match = find_config(request.checkpoint, read_checkpoint(request.checkpoint), models, registry)
    restorer = match.restorer.to_empty(device="cpu")
    restorer.load_state_dict(match.weights)
    write_weights(restorer, request.file, {MODEL_IN_HEADER: json.dumps(models[match.name])})
    also = f" (and so do {', '.join(match.others)})" if match.others else ""
    click.echo(f"{request.checkpoint}: {match.name} fits{also}; {parameters(restorer):,} parameters with its head")
    click.echo(f"written: {request.file}\nA row of it, beside those of yours:\n")
    click.echo(_row(request, candidates[match.name]))


def _candidates(request: _Request, registry: "Registry") -> dict[str, _Candidate]:
    """Return the configurations that the checkpoint may belong to, by label.

    Raises:
        BenchmarkError: The backbone is unknown, has no published weights, or refuses the options.
    """
    from benchmark.cli.targets import described
    from benchmark.model.published import published_of

    head = published_of(request.backbone, request.checkpoint, registry).head
    head_options = [f"{key}={json.dumps(value)}" for key, value in head.items() if key != "name"]
    candidates: dict[str, _Candidate] = {}
    for size in _sizes(request, registry):
        network = described((request.backbone, size, request.options), (head["name"], head_options), registry)
        model = network.model.as_config()
        given = [item.partition("=")[0] for item in request.options]
        backbone = {"name": request.backbone, **({"size": size} if size else {})}
        candidates[network.label] = _Candidate(backbone | {key: model["backbone"][key] for key in given}, model)
    return candidates


def _sizes(request: _Request, registry: "Registry") -> list[str | None]:
    """Return the names of sizes to try; None stands for the backbone's defaults, to which options are added."""
    if request.size:
        return [request.size]
    sizes: list[str | None] = [*registry.find("backbone", request.backbone).sizes]
    return [None, *sizes] if request.options or not sizes else sizes


def _row(request: _Request, candidate: _Candidate) -> str:
    """Return the YAML of a row with the imported weights."""
    from benchmark.model.published import flow

    lines = {
        "model.backbone": flow(candidate.backbone),
        "model.head": flow(candidate.model["head"]),
        "model.weights": json.dumps(str(request.file.resolve())),
        "protocol.order": "[]  # tested as it is; without this line it is trained further",
    }
    settings = "".join(f"\n      {key}: {value}" for key, value in lines.items())
    return f"tables:\n  published:\n    {request.backbone}:{settings}"
