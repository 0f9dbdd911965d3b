"""Commands print tables in terminals that lack their signs: plain signs stand for them, nothing ends in an error."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli import main, terminal

STUDY = "reports/published/quickstart_faces1"


Run = Callable[..., bytes]


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a command writes on the standard output of a terminal with an encoding."""

    def printed(encoding: str, *arguments: object) -> bytes:
        buffer = io.BytesIO()
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # `main` replaces it
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding))
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        sys.stdout.flush()
        return buffer.getvalue()

    return printed


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_tables_are_printed_with_plain_signs(run: Run, root: Path, tmp_path: Path, encoding: str) -> None:
    """`leaderboard`, `compare`, `claims` and `list` exit with 0; a passed gate is a plus, a minus a hyphen."""
    twin = shutil.copytree(root / STUDY, tmp_path / "twin")
    printed = {
        "leaderboard": run(encoding, "leaderboard", STUDY),
        "markdown": run(encoding, "leaderboard", STUDY, "--format", "markdown"),
        "compare": run(encoding, "compare", STUDY, twin),
        "claims": run(encoding, "claims", "reports/published/protocol"),
        "list": run(encoding, "list", "losses"),
    }
    for command, output in printed.items():
        output.decode(encoding)
        assert encoding != "ascii" or output.isascii(), command
    assert b"+ size" in printed["leaderboard"] and b" - latency" in printed["leaderboard"]
    assert b"+ " in printed["claims"].splitlines()[0][:2] or b"x " in printed["claims"]


def test_a_process_takes_the_encoding_of_its_terminal(root: Path) -> None:
    """As Python finds it, here in the environment."""
    command = [sys.executable, "-m", "benchmark", "leaderboard", STUDY]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(root)}
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True)
    assert ended.returncode == 0 and b"Traceback" not in ended.stderr, ended.stderr.decode(errors="replace")
    assert ended.stdout.isascii() and b"+ size" in ended.stdout


def test_every_sign_is_replaced_and_utf_8_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter without a plain sign becomes a question mark; lone surrogates, which UTF-8 lacks, too."""
    shown: dict[str, bytes] = {}
    for encoding in ("ascii", "latin-1", "utf-8"):
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding))
        monkeypatch.setattr(sys, "stderr", None)
        terminal.print_anywhere()
        print("✓ −1 é 漢 \udcff", flush=True)
        shown[encoding] = buffer.getvalue()
    assert shown == {
        "ascii": b"+ -1 ? ? ?\n", "latin-1": b"+ -1 \xe9 ? ?\n", "utf-8": "✓ −1 é 漢 ?\n".encode(),
    }  # fmt: skip
