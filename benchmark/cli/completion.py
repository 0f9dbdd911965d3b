"""`completion`: what a shell needs to complete commands, options and choices of the short command `restobench`.

The script is that of click, on which the command line rests already: no further library, and nothing to keep in step
with the options by hand.
"""

import click
from click.shell_completion import get_completion_class

from benchmark.cli import SHORT_PROGRAM
from benchmark.errors import BenchmarkError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete `restobench`: commands, options, their choices, files.

    Completion needs the short command: a shell completes by the first word, and that of `python -m benchmark` is
    `python`. Bash must be of version 4.4 or newer.

    \b
    Examples:
      restobench completion bash >> ~/.bashrc
      restobench completion zsh >> ~/.zshrc
      restobench completion fish > ~/.config/fish/completions/restobench.fish
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise BenchmarkError(f"completion: this version of click has none for {shell}; pip install --upgrade click")
    program = context.find_root().command
    variable = f"_{SHORT_PROGRAM.upper()}_COMPLETE"  # as click itself calls it
    click.echo(completion(program, {}, SHORT_PROGRAM, variable).source())
