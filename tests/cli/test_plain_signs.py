"""Commands print tables in terminals that lack their signs: plain signs stand for them, nothing ends in an error."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli import terminal

STUDY = "reports/published/quickstart"


def run(root: Path, encoding: str, *arguments: str) -> bytes:
    """Return the standard output of a command in a terminal of that encoding."""
    command = [sys.executable, "-m", "benchmark", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_tables_are_printed_with_plain_signs(root: Path, tmp_path: Path, encoding: str) -> None:
    """`leaderboard`, `compare`, `claims` and `list` exit with 0; a passed gate is a plus, a minus a hyphen."""
    twin = shutil.copytree(root / STUDY, tmp_path / "twin")
    printed = {
        "leaderboard": run(root, encoding, "leaderboard", STUDY),
        "markdown": run(root, encoding, "leaderboard", STUDY, "--format", "markdown"),
        "compare": run(root, encoding, "compare", STUDY, str(twin)),
        "claims": run(root, encoding, "claims", "reports/published/protocol"),
        "list": run(root, encoding, "list", "losses"),
    }
    for command, output in printed.items():
        output.decode(encoding)
        assert encoding != "ascii" or output.isascii(), command
    assert b"+ size" in printed["leaderboard"] and b" - latency" in printed["leaderboard"]
    assert b"+ " in printed["claims"].splitlines()[0][:2] or b"x " in printed["claims"]


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
