"""`import`: published weights are written under this project's names."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import plugin_option

if TYPE_CHECKING:  # torch is imported only when the command runs
    from backbones import Published
    from benchmark.cli.measure_networks import Network
    from benchmark.registry import Registry


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--backbone", required=True, metavar="NAME", help="The backbone it was published for.")
@click.option("--size", metavar="NAME", help="A named size of the backbone.  [default: the one that fits]")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: <name>_imported.safetensors]")
@click.option("--replace", is_flag=True, help="Overwrite a file that exists.")
@plugin_option
def command(
    checkpoint: Path,
    backbone: str,
    size: str | None,
    options: tuple[str, ...],
    out: Path | None,
    replace: bool,
    plugins: tuple[Path, ...],
) -> None:
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
    from benchmark.model.build import find_config
    from benchmark.model.published import flow, published_of
    from benchmark.model.weight_files import read_checkpoint, write_weights
    from benchmark.registry import Registry

    file = out or checkpoint.with_name(f"{checkpoint.stem}_imported.safetensors")
    if file.exists() and not replace:
        raise click.UsageError(f"{file} exists already; choose another file with --out, or add --replace")
    registry = Registry(plugins)
    published = published_of(backbone, checkpoint, registry)
    candidates = _candidates((backbone, size, options), published, registry)
    models = {label: model for label, (_, model) in candidates.items()}
    match = find_config(checkpoint, read_checkpoint(checkpoint), models, registry)
    size, model = candidates[match.name]
    restorer = match.restorer.to_empty(device="cpu")
    restorer.load_state_dict(match.fit.weights)
    write_weights(restorer, file, {MODEL_IN_HEADER: json.dumps(model)})
    also = f" (and so do {', '.join(match.others)})" if match.others else ""
    click.echo(f"{checkpoint}: {match.name} fits{also}; {parameters(restorer):,} parameters with its head")
    if match.fit.choice:
        click.echo(f"{checkpoint}: {match.fit.choice}")
    click.echo(f"written: {file}\nIts row, for the tables of an experiment:\n")
    given = {key: model["backbone"][key] for key in (option.partition("=")[0] for option in options)}
    settings = {
        "model.backbone": flow({"name": backbone, **({"size": size} if size else {}), **given}),
        "model.head": flow(model["head"]),
        "model.weights": json.dumps(str(file.resolve())),
        "protocol.order": "[]  # tested as it is; without this line it is trained further",
    }
    lines = "".join(f"\n      {key}: {value}" for key, value in settings.items())
    click.echo(f"tables:\n  published:\n    {backbone}:{lines}")


def _candidates(
    backbone: tuple[str, str | None, Sequence[str]], published: "Published", registry: "Registry"
) -> dict[str, tuple[str | None, Mapping[str, Any]]]:
    """Return sizes and models that the checkpoint may belong to, by label.

    Size None stands for the backbone's defaults, to which options are added.

    Raises:
        BenchmarkError: The backbone refuses the options.
    """
    from benchmark.cli.measure_networks import described

    name, given_size, options = backbone
    named = list(registry.find("backbone", name).sizes)
    sizes = [given_size] if given_size else [None, *named] if options or not named else named

    def candidate(size: str | None) -> "Network":
        default = described(name, size, options, published.head["name"], (), registry)
        head = published.head_of(default.model.backbone.options)
        head_options = [f"{key}={json.dumps(value)}" for key, value in head.items() if key != "name"]
        return described(name, size, options, head["name"], head_options, registry)

    networks = {size: candidate(size) for size in sizes}
    return {network.label: (size, network.model.as_config()) for size, network in networks.items()}
