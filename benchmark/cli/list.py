"""`list`: what an experiment may name; `schema`: the JSON Schema of its file."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from benchmark.cli.options import plugin_option
from benchmark.cli.terminal import new_table, show_table
from benchmark.errors import ComponentError, shown, suggestion

if TYPE_CHECKING:  # imported only when the command runs
    from benchmark.component_source import Option
    from benchmark.registry import Registry

COST_HEAD = "degradation"
"""The head that the costs of a backbone's sizes include."""
FILE_LIMIT_BYTES = 10_000_000
"""The rule of the reference task: a larger model file scores nothing."""


@click.command("list")
@click.argument("kind", required=False)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--costs", is_flag=True, help="Count parameters, multiply-adds and file size of every size of backbones.")
@plugin_option
def command(kind: str | None, names: tuple[str, ...], costs: bool, plugins: tuple[Path, ...]) -> None:
    """List what an experiment may name of one KIND, with options and defaults; without KIND, the names of all kinds.

    Kinds are components (backbones, heads, losses, sources, augmentations), metrics, presets (of drawn faces), gates
    and baselines (rows that need no training). With NAME, only these. Components are read, not imported: `doctor` says
    whether a package is missing. --costs builds the networks, which takes some seconds for each.

    \b
    Examples:
      python -m benchmark list
      python -m benchmark list losses
      python -m benchmark list backbones nafnet gunet --costs
    """
    from benchmark.registry import KINDS, Registry

    registry = Registry(plugins)
    plurals = {{"loss": "losses"}.get(kind, f"{kind}s"): kind for kind in KINDS if kind != "metric"}
    kinds = {**{plural: partial(_components, kind=kind) for plural, kind in plurals.items()}, **_OTHER_KINDS}
    if kind is None:
        for plural, entries_of in kinds.items():
            click.echo(f"{plural}: {', '.join(entries_of(registry))}")
        return
    if kind not in kinds:
        raise ComponentError(f"list {kind}: no such kind; {suggestion(kind, kinds)}")
    if costs and kind != "backbones":
        raise ComponentError(f"list {kind} --costs: only backbones have costs; leave --costs out")
    entries = kinds[kind](registry)
    for name in names:
        if name not in entries:
            raise ComponentError(f"list {kind} {name}: no such name; {suggestion(name, entries)}")
    for name in dict.fromkeys(names or entries):
        try:
            click.echo("\n  ".join([name, *entries[name]]))
            if costs:
                show_costs(registry, name)
        except ComponentError as error:  # a broken component must not hide the others
            click.echo(f"{name}: {error}")


@click.command("schema")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it here instead of printing it.")
@plugin_option
def schema(out: Path | None, plugins: tuple[Path, ...]) -> None:
    """Print the JSON Schema of experiment files: editors complete settings and mark mistakes with it.

    An experiment file names it in its first line: # yaml-language-server: $schema=schema.json

    \b
    Examples:
      python -m benchmark schema --out experiments/schema.json
      python -m benchmark schema --plugin my_net.py --out schema.json
    """
    from benchmark.experiment.json_schema import experiment_schema
    from benchmark.files import write_json
    from benchmark.registry import Registry

    content = experiment_schema(Registry(plugins))
    if out:
        write_json(out, content)
    else:
        click.echo(json.dumps(content, indent=1, ensure_ascii=False))


def _components(registry: "Registry", kind: str) -> dict[str, Iterable[str]]:
    """Return the components of a kind, with lines about each that are made when they are read."""
    return {name: _component_lines(registry, kind, name) for name in registry.names(kind)}


def _component_lines(registry: "Registry", kind: str, name: str) -> Iterator[str]:
    description = registry.describe(kind, name)
    yield from (f"{fact}: {text}" for fact, text in description.facts.items() if fact != "citation")
    yield _options_line("options", description.options)
    if description.sizes:
        yield f"sizes: {', '.join(description.sizes)}"


def _options_line(label: str, options: "Mapping[str, Option]") -> str:
    """Return names and defaults of options, and the other values that are allowed."""
    shown: list[str] = []
    for name, option in options.items():
        others = " or ".join(repr(choice) for choice in option.choices if choice != option.default)
        default = "needed" if option.required else repr(option.default)
        shown.append(f"{name}={default} (or {others})" if others else f"{name}={default}")
    return f"{label}: {', '.join(shown) or 'none'}"


def show_costs(registry: "Registry", backbone: str) -> None:
    """Print parameters, multiply-adds and file size of every size of a backbone, folded, head included.

    Raises:
        ComponentError: The backbone cannot be imported.
    """
    import torch
    from rich.padding import Padding

    from benchmark.gates.cost import REFERENCE_IMAGE, macs, parameters
    from benchmark.model.build import build_on_meta
    from benchmark.model.restorer import fold
    from benchmark.model.weight_files import weight_bytes

    height, width = REFERENCE_IMAGE
    numbers = ("parameters", f"GMACs at {height} x {width}", "float32 bytes", "up to 10 MB")
    table = new_table("size", *numbers, numbers=len(numbers))
    broken: list[str] = []
    for size, options in registry.find("backbone", backbone).sizes.items():
        try:
            model = {"backbone": {"name": backbone, **options}, "head": {"name": COST_HEAD}}
            restorer = fold(build_on_meta(model, registry))
            counts = f"{parameters(restorer):,}", f"{macs(restorer, REFERENCE_IMAGE) / 1e9:.3f}"
            file_bytes = len(weight_bytes(restorer.to_empty(device="cpu"), torch.float32))
            table.add_row(size, *counts, f"{file_bytes:,}", "yes" if file_bytes <= FILE_LIMIT_BYTES else "no")
        except Exception as error:  # whatever is wrong with one size must not hide the others
            broken.append(f"    {size} cannot be built: {type(error).__name__}: {shown(str(error))}")
    click.echo(f"  costs, with head {COST_HEAD}:")
    show_table(Padding.indent(table, 4))
    for line in broken:
        click.echo(line)


def _metrics(registry: "Registry") -> dict[str, Iterable[str]]:
    """Return the metrics of every row, of images and of maps, then those scored where they are named, then plugins."""
    from reports.metrics import METRICS

    added = [name for name in registry.added("metric") if name not in METRICS]
    optional = [name for name in registry.names("metric") if name not in METRICS and name not in added]
    entries: dict[str, Iterable[str]] = {
        name: [f"formula: {metric.formula}", _metric_facts(metric.unit, metric.direction)]
        for name, metric in METRICS.items()
    }
    for name in [*optional, *added]:
        metric = registry.find("metric", name)
        facts = [_metric_facts(metric.unit, metric.direction)]
        facts += [f"from {metric.min_side} px a side"] if metric.min_side > 1 else []
        if name in optional:
            facts += [f"needs {' and '.join(metric.needs)}", "scored where an experiment names it"]
        entries[name] = [f"formula: {metric.formula}", "; ".join(facts)]
    return entries


def _metric_facts(unit: str, direction: str) -> str:
    best = {"higher": "higher is better", "lower": "lower is better", "near 1": "1 is best"}
    return f"{unit or 'no unit'}; {best.get(direction)}"


def _presets(_registry: "Registry") -> dict[str, Iterable[str]]:
    from benchmark.synthetic_faces import PRESETS

    return {
        name: [", ".join(f"{setting}={value}" for setting, value in asdict(preset).items())]
        for name, preset in PRESETS.items()
    }


def _gates(_registry: "Registry") -> dict[str, Iterable[str]]:
    from benchmark.component_source import option_of
    from benchmark.experiment.gate_presets import GATE_PRESETS, SOURCES
    from benchmark.experiment.schema import AnyGate

    entries: dict[str, Iterable[str]] = {}
    for gate in get_args(get_args(AnyGate)[0]):
        settings = {name: option_of(field) for name, field in gate.model_fields.items()}
        quantity = settings.pop("quantity").default
        entries[quantity] = [*filter(None, [gate.__doc__]), _options_line("settings", settings)]
    for preset, gates in GATE_PRESETS.items():
        limits = "; ".join(f"{name}: {json.dumps(settings)}" for name, settings in gates.items())
        entries[f"preset: {preset}"] = [SOURCES[preset], limits]
    return entries


def _baselines(_registry: "Registry") -> dict[str, Iterable[str]]:
    from benchmark.evaluation.baselines import BASELINE_FITS
    from benchmark.evaluation.classical import DENOISERS, packages_of

    entries: dict[str, Iterable[str]] = {}
    for name, baseline in {**BASELINE_FITS, **DENOISERS}.items():
        condition = [f"tested where an experiment names it; needs {packages_of(name)}"] if name in DENOISERS else []
        entries[name] = [(baseline.__doc__ or "").partition("\n")[0], *condition]
    return entries


_OTHER_KINDS: dict[str, Callable[["Registry"], dict[str, Iterable[str]]]] = {
    "metrics": _metrics,
    "presets": _presets,
    "gates": _gates,
    "baselines": _baselines,
}
"""Kinds that are no components: for each a function from the registry to names and lines about them."""
