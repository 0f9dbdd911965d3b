"""`data`: pictures and pairs, without training."""

from collections.abc import Mapping

import click

from benchmark.cli import LazyGroup

COMMANDS: Mapping[str, str] = {
    "show": "Draw pairs of an experiment as one picture.",
    "render": "Write pairs of spotted and clean faces as PNG.",
    "check": "Look for what would spoil a comparison in pairs, and at their degradation.",
}


@click.group(
    "data",
    cls=LazyGroup,
    package=__name__,
    table=COMMANDS,
    epilog="Start with:  python -m benchmark data render --count 8 --out faces",
)
def command() -> None:
    """Look at data and make some; trains nothing."""
