"""The command line: one file a command. No torch before a command needs it.

Exit codes: 0 all went well, 1 a row failed, 2 a mistake the user can mend, 85 `run` or `search` was interrupted
(Ctrl-C, SIGTERM or SIGHUP) and resumes when it is started again, 130 another command was interrupted.
"""

import sys
from collections.abc import Mapping

import click

from benchmark.cli.lazy import LazyGroup
from benchmark.errors import BenchmarkError
from benchmark.interrupts import EXIT_RESUME, ResumableInterrupt, exit_now, interrupt_on_termination

COMMANDS: Mapping[str, str] = {
    "run": "Train, test and compare the rows of an experiment.",
    "search": "Search settings of an experiment, e.g. learning rates, by what they reach on val.",
    "plan": "Show what `run` would do, without running it.",
    "report": "Write the report of a run again, from its records alone.",
    "claims": "Say which claims of a run hold, and whether a text quotes records rightly.",
    "compare": "Put rows of several runs into one table, or say why that may not be done.",
    "leaderboard": "Rank the rows of all runs below a folder.",
    "list": "List the components that an experiment may name.",
    "data": "Look at data and make some: pictures of pairs, faces with spots.",
    "import": "Read the published weights of a backbone, for a row beside your own.",
    "measure": "Cost, latency and gates of networks, without training.",
    "export": "Write a trained network as a file for other programs: safetensors or ONNX.",
    "restore": "Restore a folder of images with a trained network.",
    "store": "List, verify and prune the trained stages that runs share.",
    "schema": "Print the JSON Schema of experiment files, for editors.",
    "doctor": "Tell whether this installation is sound, and what mends it.",
}


@click.group(
    cls=LazyGroup,
    package=__name__,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  python -m benchmark run experiments/quickstart.yaml",
)
def cli() -> None:
    """Which restoration backbone, head, loss set and protocol to use under a size and latency budget."""


def main() -> None:
    """Run the command line; turn errors the user can mend into one line and exit code 2."""
    interrupt_code: int | None = None
    interrupt_on_termination()
    try:
        sys.exit(cli.main(prog_name="python -m benchmark", standalone_mode=False) or 0)
    except BenchmarkError as error:
        click.echo(f"error: {error}", err=True)
    except OSError as error:  # a full disk, a folder that may not be written
        click.echo(f"error: {error}; what is finished is stored, the same command goes on from there", err=True)
    except click.UsageError as error:
        error.show()
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo("interrupted; what is finished is stored, the same command goes on from there", err=True)
        interrupt_code = EXIT_RESUME if isinstance(error.__cause__, ResumableInterrupt) else 130  # click wraps it
    # Outside the handler: only now are the interrupted generators closed, and with them the workers they started.
    if interrupt_code is not None:
        exit_now(interrupt_code)
    sys.exit(2)
