"""The command line: mostly one file a command. No torch before a command needs it.

Exit codes: 0 all went well, 1 a row failed, 2 a mistake the user can mend, 85 `run` or `search` was interrupted
(Ctrl-C, SIGTERM or SIGHUP) and resumes when it is started again, 130 another command was interrupted.
"""

import importlib
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from benchmark.cli.terminal import print_anywhere
from benchmark.errors import BenchmarkError, suggestion, system_error
from benchmark.interrupts import EXIT_RESUME, ResumableInterrupt, exit_now, interrupt_on_termination
from reports.errors import ReportError

COMMANDS: Mapping[str, str] = {
    "auto": "Make a network from pairs: check, train, export within limits and a budget of time.",
    "run": "Train, test and compare the rows of an experiment.",
    "search": "Search settings of an experiment, e.g. learning rates, by what they reach on val.",
    "plan": "Show what `run` would do, without running it.",
    "job": "Carry out one job of a plan, for Slurm, Ray or a loop in a shell; list its jobs.",
    "report": "Write the report of a run, a search or a measurement, from its records alone.",
    "claims": "Say which claims of a run hold, by its records alone.",
    "publish": "Write a run as a small folder that belongs into a repository.",
    "compare": "Put rows of several runs into one table, or say why that may not be done.",
    "leaderboard": "Rank the rows of all runs below a folder.",
    "blind": "Make a blind test of restored images, or rank the rows by its answers.",
    "list": "List the components that an experiment may name.",
    "data": "Look at data and make some: pictures of pairs, faces with spots.",
    "import": "Read the published weights of a backbone, for a row beside your own.",
    "evaluate": "Score a trained row, or a folder of restored images, on any test set.",
    "measure": "Cost, latency and gates of networks, without training.",
    "export": "Write a trained network as a file for other programs: safetensors or ONNX.",
    "restore": "Restore a folder of images with a trained network.",
    "serve": "Show a page on this machine that restores photos.",
    "store": "List, verify and prune the trained stages that runs share.",
    "schema": "Print the JSON Schema of experiment files, for editors.",
    "doctor": "Tell whether this installation is sound, and what mends it.",
    "completion": "Print the script that lets a shell complete commands and options.",
}
_SHARED_FILES = {
    "plan": "run",
    "schema": "list",
    **dict.fromkeys(("report", "claims", "publish", "compare", "leaderboard"), "reports"),
}
"""Files of commands that are functions with their own names, beside another command."""
_PROGRAM = "python -m benchmark"
SHORT_PROGRAM = "restobench"
"""The same command line as a console script."""


class LazyGroup(click.Group):
    """A group of commands that are imported when they are called, so that `--help` is instant.

    The command `x` is the function `command` in `x.py` of a package; in `x_.py` if `x` is `import`, which Python
    reserves; for some see `_SHARED_FILES`.
    """

    def __init__(self, *args: Any, package: str, table: Mapping[str, str], **options: Any) -> None:
        """Make a group of the commands in `table`, which has one line of help for each; see `click.Group`."""
        super().__init__(*args, **options)
        self._package, self._table = package, table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the table."""
        return [*self._table]  # `list` is a module of this package

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command. Raises click.UsageError, with the nearest name, if there is none."""
        if cmd_name not in self._table:
            raise click.UsageError(f"No such command {cmd_name!r}; {suggestion(cmd_name, self._table)}", ctx)
        if cmd_name in _SHARED_FILES:
            return getattr(importlib.import_module(f"{self._package}.{_SHARED_FILES[cmd_name]}"), cmd_name)
        file = "import_" if cmd_name == "import" else cmd_name
        return importlib.import_module(f"{self._package}.{file}").command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so, from the table: importing all commands would take long."""
        commands = [
            CompletionItem(name, help=text) for name, text in self._table.items() if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([*self._table.items()])


def _show_version(context: click.Context, _option: click.Parameter, is_wanted: bool) -> None:
    """Print the versions of the project, Python and torch; torch itself is not imported."""
    if is_wanted and not context.resilient_parsing:
        click.echo(
            f"restoration-benchmark {_version('restoration-benchmark')} "
            f"(Python {platform.python_version()}, torch {_version('torch')}, {Path(__file__).parents[2]})"
        )
        context.exit()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@click.group(
    cls=LazyGroup,
    package=__name__,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  python -m benchmark run experiments/quickstart.yaml",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show versions and exit."
)
def cli() -> None:
    """Which restoration backbone, head, loss set and protocol to use under a size and latency budget."""


def _is_caused_by_interrupt(error: BaseException) -> bool:
    """Return whether a library made another error of a Ctrl-C, as pydantic does while it serialises."""
    cause = error.__cause__ or error.__context__
    return cause is not None and (isinstance(cause, KeyboardInterrupt) or _is_caused_by_interrupt(cause))


def main() -> None:
    """Run the command line; turn errors the user can mend into one line and exit code 2."""
    program = SHORT_PROGRAM if Path(sys.argv[0]).stem == SHORT_PROGRAM else _PROGRAM
    interrupt_code: int | None = None
    print_anywhere()
    interrupt_on_termination()
    try:
        sys.exit(cli.main(prog_name=program, standalone_mode=False) or 0)
    except (BenchmarkError, ReportError) as error:
        click.echo(f"error: {error}", err=True)
    except OSError as error:  # a full disk, a folder that may not be written
        click.echo("; ".join([f"error: {system_error(error)}", *getattr(error, "__notes__", [])]), err=True)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else program
        click.echo(f"error: {error.format_message().rstrip('.')}; see {command} --help", err=True)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        cause = error.__cause__  # click wraps it
        click.echo("; ".join(["interrupted", *getattr(cause, "__notes__", [])]), err=True)
        interrupt_code = EXIT_RESUME if isinstance(cause, ResumableInterrupt) else 130
    except Exception as error:
        if not _is_caused_by_interrupt(error):
            raise
        click.echo("interrupted", err=True)
        interrupt_code = 130
    # Outside the handler: the traceback, and with it everything that the command still holds, is gone by now.
    if interrupt_code is not None:
        exit_now(interrupt_code)
    sys.exit(2)
