"""Command lines that a reader of a report can type: they repeat a run, or use one of its rows."""

import shlex
from collections.abc import Sequence

from reports.results import Results, row_folder
from reports.results.published import is_study
from reports.results.summary import Summary
from reports.schema import PlanFile

_RUN = ("python", "-m", "benchmark", "run")
_SELECTING = ("--rows", "--seeds", "--output")
"""Options with a value that a command of this module gives itself."""


def run_command(plan: PlanFile, *more: str, keep_output: bool = True) -> str:
    """Return the command that made a run, with other options.

    Args:
        plan: The plan of the run.
        more: Options to add.
        keep_output: Keep the folder of the run.
    """
    arguments = _arguments(plan)
    output = ["--output", folder] if keep_output and (folder := _output(arguments)) else []
    return shlex.join([*_RUN, *_without_selection(arguments), *output, *more])


def run_folder(plan: PlanFile) -> str:
    """Return the folder of a run as its command named it, relative to where that was typed."""
    return _output(_arguments(plan)) or f"runs/{plan.experiment}"


def shipping_commands(row: Summary, results: Results) -> tuple[str, ...]:
    """Return the commands that restore a folder of images with a row, and export it; a study is run before."""
    folder = f"{run_folder(results.plan)}/{row_folder(row.row, row.seeds[0])}"
    benchmark = ("python", "-m", "benchmark")
    again = (run_command(results.plan),) if is_study(results.folder) else ()
    return (
        *again,
        shlex.join((*benchmark, "restore", folder, "my_images", "restored")),
        shlex.join((*benchmark, "export", folder, "--format", "onnx", "--out", f"{row.row}.onnx")),
    )


def row_command(row: Summary, results: Results) -> str:
    """Return the command that trains and tests one row again."""
    return run_command(results.plan, "--rows", row.row)


def rows_option(rows: Sequence[str]) -> list[str]:
    """Return the options that choose rows."""
    return [word for row in rows for word in ("--rows", row)]


def _arguments(plan: PlanFile) -> list[str]:
    """Return what follows `run` in the command of a plan; where there is none, the file in its usual place."""
    try:
        words = shlex.split(plan.command)
    except ValueError:  # a quotation without end
        words = []
    return words[4:] if tuple(words[:4]) == _RUN else [f"experiments/{plan.experiment}.yaml"]


def _without_selection(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skips_value = False
    for word in arguments:
        name = word.partition("=")[0]
        if skips_value:
            skips_value = False
        elif name in _SELECTING:
            skips_value = "=" not in word
        elif word != "--replace":
            kept.append(word)
    return kept


def _output(arguments: Sequence[str]) -> str:
    for place, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name == "--output":
            return value or (arguments[place + 1] if place + 1 < len(arguments) else "")
    return ""
