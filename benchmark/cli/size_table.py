"""What the named sizes of a backbone cost."""

from collections.abc import Mapping
from typing import Any

import click
import torch
from rich.padding import Padding

from benchmark.cli.table_output import new_table, show_table
from benchmark.gates.cost import REFERENCE_IMAGE, macs, parameters
from benchmark.model.build import outline
from benchmark.model.weights import weight_bytes
from benchmark.registry import Registry

HEAD = "degradation"
LIMIT_BYTES = 10_000_000
"""The rule of the reference task: a larger model file scores nothing."""


def show_sizes(registry: Registry, backbone: str) -> None:
    """A table of parameters, multiply-adds and file size, head included. Raises ComponentError."""
    height, width = REFERENCE_IMAGE
    numbers = ("parameters", f"GMACs at {height} x {width}", "float32 bytes", "up to 10 MB")
    table = new_table("size", *numbers, numbers=len(numbers))
    sizes: Mapping[str, Mapping[str, Any]] = registry.find("backbone", backbone).sizes
    broken: list[str] = []
    for size, options in sizes.items():
        try:
            table.add_row(size, *_cells({"name": backbone, **options}, registry))
        except Exception as error:  # somebody's network: whatever is wrong with a size must not hide the others
            broken.append(f"    {size} cannot be built: {type(error).__name__}: {error}")
    click.echo(f"  sizes, with head {HEAD}:")
    show_table(Padding.indent(table, 4))
    for line in broken:
        click.echo(line)


def _cells(backbone: Mapping[str, Any], registry: Registry) -> list[str]:
    restorer = outline({"backbone": backbone, "head": {"name": HEAD}}, registry)
    counted = [f"{parameters(restorer):,}", f"{macs(restorer, REFERENCE_IMAGE) / 1e9:.3f}"]
    size = len(weight_bytes(restorer.to_empty(device="cpu"), torch.float32))
    return [*counted, f"{size:,}", "yes" if size <= LIMIT_BYTES else "no"]
