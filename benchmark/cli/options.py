"""Options that several commands share, and what they select."""

import math
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

import click

from benchmark.errors import ExperimentError, shown, suggestion
from benchmark.experiment.portable_paths import portable_argument

Command = Callable[..., Any]


class NumberRange(click.FloatRange):
    """A range of numbers without `nan`, which lies in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter if it lies outside or is none."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


class Duration(click.ParamType[float]):
    """A time such as 4h, 90m, 1.5h or 2d, in seconds."""

    name = "TIME"
    _UNITS: ClassVar[dict[str, int]] = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds. Raises click.BadParameter if it is no time above 0."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|min|h|d)", str(value).strip(), re.ASCII)
        if match is None or float(match[1]) == 0:
            self.fail(f"{shown(str(value))!r}: write a time with its unit, e.g. 4h, 90m, 1.5h or 2d", param, ctx)
        return float(match[1]) * self._UNITS[match[2]]


budget_option = click.option(
    "--budget",
    "budget_seconds",
    type=Duration(),
    help="Time to spend, e.g. 4h: on what settles most an hour; no row starts that would not end in it.",
)


MOST_SEED = 2**31 - 1
"""As in an experiment file."""


@dataclass(frozen=True)
class Selection:
    """The values of the shared options: which part of which experiment, with which changes, on which devices."""

    file: Path
    output: Path | None
    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    sets: tuple[str, ...]
    devices: str | None
    plugins: tuple[Path, ...]
    replace: bool
    study: Path | None = None
    command: str = ""
    """What records name as the command that made them; empty: the command that is running."""


plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A Python file with a component of yours; may be given several times.",
)


def experiment_options(command: Command) -> Command:
    """Add the argument FILE and the options of all commands that read an experiment."""
    decorators = [
        click.argument("file", type=click.Path(path_type=Path)),
        click.option(
            "--output",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of the run.  [default: runs/<name>]",
        ),
        click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of the file."),
        click.option(
            "--devices",
            "--device",
            "devices",
            metavar="NAMES",
            help="cpu, all, or GPUs such as 0,2,3, each with a worker of its own.  [default: all GPUs, else cpu]",
        ),
        plugin_option,
        click.option("--replace", is_flag=True, help="Run rows again whose records belong to other settings."),
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def selection_options(command: Command) -> Command:
    """Add `experiment_options` and the options that select rows and seeds."""
    rows = click.option("--rows", multiple=True, metavar="PATTERN", help="Only these rows, e.g. base or 'heads.*'.")
    seeds = click.option("--seeds", callback=_parse_seeds, metavar="0,1", help="Only these seeds; others may be new.")
    study = click.option(
        "--study",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Rows that this published study has, with the same configuration, count as finished.",
    )
    return experiment_options(rows(seeds(study(command))))


def command_line() -> str:
    """Return the command that is running, as it can be typed again in the current folder: its paths are relative."""
    return command_text(*sys.argv[1:])


def command_text(*arguments: object) -> str:
    """Return a command as it can be typed in the current folder: its paths are relative."""
    folder = Path.cwd()
    return shlex.join(["python", "-m", "benchmark", *(portable_argument(str(item), folder) for item in arguments)])


def matching_rows(patterns: tuple[str, ...], names: list[str]) -> list[str]:
    """Return the names that any pattern matches, in their order; all names if there are no patterns.

    Raises:
        ExperimentError: A pattern matches no row.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ExperimentError(f"--rows {pattern}: matches no row; {suggestion(pattern, names)}")
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


def _parse_seeds(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, ...]:
    parts = value.split(",") if value else []
    if not all(re.fullmatch(r"\s*\d{1,10}\s*", part, re.ASCII) for part in parts):
        raise click.BadParameter(f"{shown(str(value))!r}: write whole numbers with commas, each once, e.g. 0,1")
    seeds = tuple(map(int, parts))
    if len(set(seeds)) < len(seeds) or max(seeds, default=0) > MOST_SEED:
        raise click.BadParameter(f"{shown(str(value))!r}: seeds are whole numbers up to {MOST_SEED}, each given once")
    return seeds
