"""`--help` of every command is instant: it imports nothing that takes long."""

import subprocess
import sys

from benchmark.cli import COMMANDS
from benchmark.cli.data import COMMANDS as OF_DATA

HEAVY = {"torch", "pandas", "matplotlib", "scipy", "pydantic", "optuna"}
LIGHTER = {"numpy", "PIL", "rich"}
"""What the help of most commands does without, too."""
PROGRAM = """\
import sys
from benchmark.cli import main
for arguments, heavy in {expected!r}:
    sys.argv = ["x", *arguments, "--help"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)
    assert not heavy & set(sys.modules), (arguments, heavy & set(sys.modules))
"""


def test_help_is_instant() -> None:
    """The group's and every command's help, one after the other in a fresh process; `data show` knows numpy."""
    commands = [[], *([name] for name in COMMANDS), *(["data", name] for name in OF_DATA if name != "show")]
    expected = [*((arguments, HEAVY | LIGHTER) for arguments in commands), (["data", "show"], HEAVY)]
    program = PROGRAM.format(expected=expected)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Usage:") == len(expected)
    for piece in ("--trials", "RECORD", "Examples:", "render"):
        assert piece in ended.stdout
    assert "\\b" not in ended.stdout, "a raw docstring: click does not see that the examples keep their lines"
